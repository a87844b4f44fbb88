"""The checker finds each kind of fault in a Program."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.config import config
from funcgrad.errors import ProgramError
from funcgrad.ir.check import check_program
from funcgrad.ir.program import Equation, Literal, Program, Variable
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import ADD, NEGATIVE
from funcgrad.transforms.call import CALL

VECTOR = ArrayType((3,), np.float64)


def program(inputs, equations, outputs):
    return Program(inputs, equations, outputs, "faulty")


def variables(count):
    return [Variable(VECTOR) for _ in range(count)]


def test_sound_programs_pass():
    x, y = variables(2)
    check_program(program([x], [Equation(ADD, [x, Literal(1.0)], [y], {})], [y]))
    check_program(program([x], [], [x, x, Literal(2)]))
    check_program(fg.make_jaxpr(fg.hessian(lambda x: np.sum(np.sin(x) ** 2)))(np.ones(3)))


def test_input_twice():
    (x,) = variables(1)
    with pytest.raises(ProgramError, match="faulty: an input occurs twice"):
        check_program(program([x, x], [], [x]))


def test_unknown_operand():
    x, y, z = variables(3)
    with pytest.raises(
        ProgramError, match=r"equation 0 \(add, .*reads a variable that nothing defines"
    ):
        check_program(program([x], [Equation(ADD, [x, z], [y], {})], [y]))


def test_use_before_definition():
    x, y, z = variables(3)
    equations = [Equation(NEGATIVE, [z], [y], {}), Equation(NEGATIVE, [x], [z], {})]
    with pytest.raises(ProgramError, match="equation 0 .*nothing defines"):
        check_program(program([x], equations, [y]))


def test_second_assignment():
    x, y = variables(2)
    equations = [Equation(NEGATIVE, [x], [y], {}), Equation(NEGATIVE, [x], [y], {})]
    with pytest.raises(ProgramError, match="equation 1 .*assigns a variable twice"):
        check_program(program([x], equations, [y]))
    with pytest.raises(ProgramError, match="assigns a variable twice"):
        check_program(program([x], [Equation(NEGATIVE, [x], [x], {})], [x]))


@pytest.mark.parametrize(
    "claimed", [ArrayType((4,), np.float64), ArrayType((3,), np.float32), ArrayType((), np.float64)]
)
def test_wrong_type(claimed):
    (x,) = variables(1)
    y = Variable(claimed)
    with pytest.raises(
        ProgramError, match=r"has outputs \[.*\], but its type rule says \[float64\[3\]\]"
    ):
        check_program(program([x], [Equation(NEGATIVE, [x], [y], {})], [y]))


def test_wrong_number_of_results():
    x, y, z = variables(3)
    with pytest.raises(ProgramError, match="type rule says"):
        check_program(program([x], [Equation(NEGATIVE, [x], [y, z], {})], [y]))


def test_unknown_output():
    x, y = variables(2)
    with pytest.raises(ProgramError, match="returns a variable that nothing defines"):
        check_program(program([x], [], [y]))


def test_operand_of_another_program():
    x, y, inner_x, inner_y = variables(4)
    inner = program([inner_x], [Equation(ADD, [inner_x, x], [inner_y], {})], [inner_y])
    with pytest.raises(ProgramError, match="reads a variable that nothing defines"):
        check_program(program([x], [Equation(CALL, [x], [y], {"program": inner})], [y]))


def test_fault_inside_an_inner_program():
    x, y, inner_x, inner_y = variables(4)
    inner = Program([inner_x], [], [inner_y], "inner")
    with pytest.raises(ProgramError, match="inner: returns a variable"):
        check_program(program([x], [Equation(CALL, [x], [y], {"program": inner})], [y]))


def test_flag_checks_every_recorded_program(monkeypatch):
    monkeypatch.setattr(NEGATIVE, "type_rule", lambda x: ArrayType((7,), x.dtype))
    recorded = fg.make_jaxpr(lambda x: -x)(np.ones(3))  # wrong, but consistent with its rule
    check_program(recorded)
    monkeypatch.undo()
    with pytest.raises(ProgramError, match=r"float64\[7\]"):
        check_program(recorded)
    with config.override(check_programs=True):
        fg.jit(lambda x: np.sin(-x))(np.ones(3))
