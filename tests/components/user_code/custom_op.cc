// An operation that no TensorFlow has, in TensorFlow's C API, whose headers compile in half a second.
#include <cstdlib>

#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_tensor.h"

static void same_shape(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 0, shape, status);
  TF_ShapeInferenceContextSetOutput(context, 0, shape, status);
  TF_DeleteShapeHandle(shape);
}

static void compute(void*, TF_OpKernelContext* context) {
  TF_Status* status = TF_NewStatus();
  TF_Tensor* x = nullptr;
  TF_GetInput(context, 0, &x, status);
  const int rank = TF_NumDims(x);
  int64_t sizes[8];
  for (int n = 0; n < rank; ++n) sizes[n] = TF_Dim(x, n);
  TF_Tensor* y = TF_AllocateOutput(context, 0, TF_FLOAT, sizes, rank, TF_TensorByteSize(x), status);
  const float* from = static_cast<float*>(TF_TensorData(x));
  float* to = static_cast<float*>(TF_TensorData(y));
  for (int64_t n = 0; n < TF_TensorElementCount(x); ++n) to[n] = 3 * from[n];
  TF_DeleteTensor(x);
  TF_DeleteTensor(y);
  TF_DeleteStatus(status);
}

__attribute__((constructor)) static void register_operation() {
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* operation = TF_NewOpDefinitionBuilder("TaxiwayTriple");
  TF_OpDefinitionBuilderAddInput(operation, "x: float");
  TF_OpDefinitionBuilderAddOutput(operation, "y: float");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(operation, &same_shape);
  TF_RegisterOpDefinition(operation, status);
  TF_KernelBuilder* kernel = TF_NewKernelBuilder("TaxiwayTriple", "CPU", nullptr, &compute, nullptr);
  TF_RegisterKernelBuilder("TaxiwayTriple", kernel, status);
  TF_DeleteStatus(status);
}
