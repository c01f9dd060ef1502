"""A pipeline of shell containers for the tests of the runner: a source, a chain of copies, and a branch."""

from kfp import dsl


@dsl.container_component
def source(text: str, out: dsl.Output[dsl.Dataset], pause: str = "0"):
    # Written in two halves with a pause between them, so that a kill leaves half a file.
    return dsl.ContainerSpec(
        image="any:1",
        command=["sh", "-ec", 'printf "%s first " "$1" > "$0"; sleep "$2"; printf "second\\n" >> "$0"'],
        args=[out.path, text, pause],
    )


@dsl.container_component
def step(data: dsl.Input[dsl.Dataset], out: dsl.Output[dsl.Dataset], number: int, pause: str = "0"):
    return dsl.ContainerSpec(
        image="any:1",
        command=["sh", "-ec", 'cat "$0" > "$1"; sleep "$3"; echo "step $2" >> "$1"'],
        args=[data.path, out.path, number, pause],
    )


@dsl.pipeline(name="chain")
def chain(text: str = "hello", pause: str = "0"):
    """Ten steps, one after the other, and a side branch."""
    data = source(text=text, pause=pause).outputs["out"]
    for number in range(1, 10):
        data = step(data=data, number=number, pause=pause).outputs["out"]
        if number == 3:
            step(data=data, number=33, pause=pause)
