"""Runs python tools for tools/compat.ts: one request a line on stdin, one answer a line on stdout.

A request is {"code", "inputs", "context", "libs"}; an answer {"ok": value} or {"error": {"type", "message"}}.
Semantics: docs of playbooks, "Tools". Time is the playbook's own, so nothing sleeps.
"""

import ast
import contextlib
import importlib
import inspect
import io
import json
import sys
import time

time.sleep = lambda _seconds: None


def bind(libs):
    names = {}
    for name, module in (libs or {}).items():
        if isinstance(module, dict):
            names[name] = getattr(importlib.import_module(module["from"]), module["import"])
        else:
            names[name] = importlib.import_module(module)
    return names


def returns(tree):
    """True where a `return` stands outside of every function."""
    open_nodes = list(tree.body)
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, ast.Return):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            open_nodes.extend(ast.iter_child_nodes(node))
    return False


def wrapped(code):
    """The code as the body of a function, whose locals end up in its caller where it returns nothing."""
    tree = ast.parse("def __deed__():\n pass")
    function = tree.body[0]
    inner = compile(code, "<tool>", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    function.body = inner.body
    assigned = {
        node.id
        for node in ast.walk(inner)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    if assigned:
        function.body.insert(0, ast.Global(names=sorted(assigned)))
    return ast.fix_missing_locations(tree)


def run(request):
    inputs = request.get("inputs") or {}
    names = {"__name__": "__tool__", "input_data": inputs, "context": request.get("context") or {}}
    names.update(bind(request.get("libs")))
    names.update(inputs)
    code = request["code"]
    tree = compile(code, "<tool>", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    if returns(tree):
        exec(compile(wrapped(code), "<tool>", "exec", dont_inherit=True), names)
        value = names["__deed__"]()
        return value if value is not None else names.get("result")
    exec(compile(code, "<tool>", "exec", dont_inherit=True), names)
    if "result" in names:
        return names["result"]
    main = names.get("main")
    if not callable(main):
        return None
    wanted = inspect.signature(main).parameters
    any_name = any(one.kind is one.VAR_KEYWORD for one in wanted.values())
    return main(**{name: value for name, value in inputs.items() if any_name or name in wanted})


def answer(line):
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            return json.dumps({"ok": run(json.loads(line))}, default=str, allow_nan=False)
    except BaseException as error:  # a tool may raise anything, sys.exit included
        return json.dumps({"error": {"type": type(error).__name__, "message": str(error)}})


for text in sys.stdin:
    sys.stdout.write(answer(text) + "\n")
    sys.stdout.flush()
