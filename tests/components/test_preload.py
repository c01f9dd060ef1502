from components import preload, stages


def test_every_stage_starts_from_one_layer() -> None:
    served = [*preload.LIGHT.served(), *preload.HEAVY.served()]
    assert sorted(served) == sorted(stages.STAGES)


def test_a_module_written_for_tfx_starts_from_the_layer_that_has_loaded_it() -> None:
    validation, transform = preload.HEAVY.below
    assert transform.serves("transform")
    assert not validation.serves("transform", {"tfx", "tfx.v1"})
    (tfx,) = transform.below
    assert tfx.serves("transform", {"tfx", "tfx.v1"})
    assert not tfx.serves("transform", {"tfx", "tfx.components", "tfx.components.trainer.fn_args_utils"})
