from components import preload, stages


def test_every_stage_starts_from_one_layer() -> None:
    served = [stage for layer in (*preload.LIGHT, *preload.HEAVY) for stage in layer.stages]
    assert sorted(served) == sorted(stages.STAGES)


def test_a_module_written_for_tfx_starts_from_the_layer_that_has_loaded_it() -> None:
    tfx = next(layer for layer in preload.HEAVY if layer.wanted)
    assert tfx.serves("transform", {"tfx", "tfx.components"})
    assert not tfx.serves("transform", {"tensorflow"})
