"""NumPy arrays in memory of `fg_allocate`: an allocation handler (NEP 49), and `fg_new_array`, which uses it.

The arrays own their memory and know the handler that frees it, so they may live as long as they like.
"""

from __future__ import annotations

from string import Template

from funcgrad.compiler.llvm.runtime.blocks import LARGE_BYTES

EXTERNALS = {
    "PyDataMem_SetHandler": "ptr (ptr)",
    "PyArray_NewFromDescr": "ptr (ptr, ptr, i32, ptr, ptr, ptr, i32, ptr)",
    "PyCapsule_New": "ptr (ptr, ptr, ptr)",
    "Py_DecRef": "void (ptr)",
    "PyErr_Fetch": "void (ptr, ptr, ptr)",
    "PyErr_Restore": "void (ptr, ptr, ptr)",
}

# Positions in NumPy's table of C functions, fixed for ever by its stable interface.
NUMPY_TABLE = {"PyArray_NewFromDescr": 94, "PyDataMem_SetHandler": 304}
ARRAY_TYPE = 2

ALLOCATOR = """
@handler = internal global {[127 x i8], i8, ptr, ptr, ptr, ptr, ptr} {
  [127 x i8] c"funcgrad$padding", i8 1, ptr null,
  ptr @handler_malloc, ptr @handler_calloc, ptr @handler_realloc, ptr @handler_free}
@handler_name = internal constant [12 x i8] c"mem_handler\\00"
@capsule = internal global ptr null
@array_type = internal global ptr null

define internal ptr @handler_malloc(ptr %context, i64 %bytes) {
  %block = call ptr @fg_allocate(i64 %bytes)
  ret ptr %block
}

define internal ptr @handler_calloc(ptr %context, i64 %count, i64 %size) {
entry:
  %pair = call {i64, i1} @llvm.umul.with.overflow.i64(i64 %count, i64 %size)
  %overflow = extractvalue {i64, i1} %pair, 1
  br i1 %overflow, label %nothing, label %allocate
allocate:
  %bytes = extractvalue {i64, i1} %pair, 0
  %block = call ptr @fg_allocate(i64 %bytes)
  %failed = icmp eq ptr %block, null
  br i1 %failed, label %nothing, label %clear
clear:
  call void @llvm.memset.p0.i64(ptr %block, i8 0, i64 %bytes, i1 false)
  ret ptr %block
nothing:
  ret ptr null
}

define internal ptr @handler_realloc(ptr %context, ptr %block, i64 %bytes) {
entry:
  %new = call ptr @fg_allocate(i64 %bytes)
  %failed = icmp eq ptr %new, null
  %first = icmp eq ptr %block, null
  %done = or i1 %failed, %first
  br i1 %done, label %leave, label %copy
copy:
  %capacity = call i64 @capacity(ptr %block)
  %common = call i64 @llvm.umin.i64(i64 %capacity, i64 %bytes)
  call void @llvm.memcpy.p0.p0.i64(ptr %new, ptr %block, i64 %common, i1 false)
  call void @fg_free(ptr %block)
  br label %leave
leave:
  ret ptr %new
}

define internal void @handler_free(ptr %context, ptr %block, i64 %bytes) {
  call void @fg_free(ptr %block)
  ret void
}
"""

# An array that could not be made leaves an exception, which must survive the change of handlers.
ARRAYS = Template("""
define void @handler_start(ptr %type) {
  store ptr %type, ptr @array_type
  %capsule = call ptr @PyCapsule_New(ptr @handler, ptr @handler_name, ptr null)
  store ptr %capsule, ptr @capsule
  ret void
}

define internal ptr @plain_array(ptr %descriptor, i32 %rank, ptr %shape) {
  %type = load ptr, ptr @array_type
  %array = call ptr @PyArray_NewFromDescr(ptr %type, ptr %descriptor, i32 %rank, ptr %shape,
                                          ptr null, ptr null, i32 0, ptr null)
  ret ptr %array
}

define ptr @fg_new_array(ptr %descriptor, i32 %rank, ptr %shape, i64 %bytes) {
entry:
  %large = icmp uge i64 %bytes, $large_bytes
  br i1 %large, label %enter, label %plain
plain:
  %small = call ptr @plain_array(ptr %descriptor, i32 %rank, ptr %shape)
  ret ptr %small
enter:
  %capsule = load ptr, ptr @capsule
  %outer = call ptr @PyDataMem_SetHandler(ptr %capsule)
  %refused = icmp eq ptr %outer, null
  br i1 %refused, label %fail, label %make
make:
  %array = call ptr @plain_array(ptr %descriptor, i32 %rank, ptr %shape)
  call void @leave_handler(ptr %outer)
  ret ptr %array
fail:
  call void @Py_DecRef(ptr %descriptor)
  ret ptr null
}

define internal void @leave_handler(ptr %outer) {
entry:
  %error = alloca [3 x ptr], align 8
  %value = getelementptr ptr, ptr %error, i64 1
  %trace = getelementptr ptr, ptr %error, i64 2
  call void @PyErr_Fetch(ptr %error, ptr %value, ptr %trace)
  %ours = call ptr @PyDataMem_SetHandler(ptr %outer)
  call void @Py_DecRef(ptr %ours)
  call void @Py_DecRef(ptr %outer)
  %e = load ptr, ptr %error
  %v = load ptr, ptr %value
  %t = load ptr, ptr %trace
  call void @PyErr_Restore(ptr %e, ptr %v, ptr %t)
  ret void
}
""")


def handler() -> tuple[dict[str, str], str]:
    """The functions that the handler needs, and the text.

    `ptr fg_new_array(descriptor, rank, shape, bytes)` is a new C-contiguous array, or null with an exception set.
    It takes over one reference to the descriptor and needs the interpreter lock.
    """
    allocator = ALLOCATOR.replace("$padding", "\\00" * (127 - len("funcgrad")))
    return EXTERNALS, allocator + ARRAYS.substitute(large_bytes=LARGE_BYTES)
