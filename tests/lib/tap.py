"""unittest with the output that tests/run reads: "ok N - name", "not ok N - name", TAP 12."""
import sys
import traceback
import unittest


class _Result(unittest.TestResult):
    number = 0

    def _point(self, ok, test, more=""):
        self.number += 1
        name = test.id().split(".", 1)[-1]
        print(f"{'ok' if ok else 'not ok'} {self.number} - {name}{more}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._point(True, test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._point(True, test, f" # SKIP {reason}")

    def _bad(self, test, err):
        for line in "".join(traceback.format_exception(*err)).splitlines():
            print("# " + line)
        self._point(False, test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._bad(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._bad(test, err)


    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._bad(subtest, err)


def main():
    """Run the tests of the calling program and exit: 0 if all passed, else 1."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = _Result()
    suite.run(result)
    print(f"1..{result.number}", flush=True)
    sys.exit(0 if result.wasSuccessful() and result.number else 1)


def skip_all(reason):
    """This program cannot run here: say why and leave."""
    print(reason, flush=True)
    sys.exit(77)
