"""The one error tree. The command line turns any of these into one line and exit status 2."""


class FlexPoseError(Exception):
    """Bad input or environment: what was expected, what was found, what to do next.

    Args:
        where: file (with line or key), URI, or option that the error is about.
        problem: what was found there and what was expected.
        hint: the way out, as an instruction.
    """

    def __init__(self, where: str, problem: str, hint: str = ""):
        if "\n" in str(problem):  # it may quote another's message
            problem = " ".join(str(problem).split())
        self.where, self.problem, self.hint = str(where), problem, hint
        super().__init__(f"{where}: {problem}" + (f" ({hint})" if hint else ""))

    def __reduce__(self):  # Ray carries exceptions between processes
        return type(self), (self.where, self.problem, self.hint)


class DataError(FlexPoseError):
    """Annotations or poses that cannot be used: unreadable, wrong joint count, NaN, too few."""


class ConfigError(FlexPoseError):
    """A recipe, option or setting that is unknown or out of range."""


class StorageError(FlexPoseError):
    """A folder or bucket that cannot be read or written."""


class WeightsError(FlexPoseError):
    """A generator, adapted model or checkpoint that is missing, damaged or of another kind."""


class TrainingError(FlexPoseError):
    """Training that cannot go on: losses that are not finite, no memory, workers that are lost again and again."""


class NonDeterminismError(FlexPoseError):
    """A shard was committed before with other bytes under the same address."""
