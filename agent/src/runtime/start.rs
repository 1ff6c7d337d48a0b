//! The first instructions: the kernel leaves the arguments on the stack, and nothing else.

use core::arch::global_asm;
use core::ffi::{CStr, c_char};

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {entry}",
    "ud2",
    entry = sym entry
);

#[cfg(target_arch = "x86")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov eax, esp",
    "and esp, -16",
    "sub esp, 12",
    "push eax",
    "call {entry}",
    "ud2",
    entry = sym entry
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "and sp, x0, #-16",
    "b {entry}",
    entry = sym entry
);

#[cfg(target_arch = "arm")]
global_asm!(
    ".globl _start",
    ".arm",
    "_start:",
    "mov r11, #0",
    "mov lr, #0",
    "mov r0, sp",
    "bic r1, r0, #15",
    "mov sp, r1",
    "b {entry}",
    entry = sym entry
);

#[cfg(target_arch = "riscv64")]
global_asm!(
    ".globl _start",
    "_start:",
    ".option push",
    ".option norelax",
    "lla gp, __global_pointer$",
    ".option pop",
    "mv s0, zero",
    "mv ra, zero",
    "mv a0, sp",
    "andi sp, sp, -16",
    "tail {entry}",
    entry = sym entry
);

// A function finds its globals from its own address, which its caller leaves in $t9.
#[cfg(target_arch = "mips")]
global_asm!(
    ".set push",
    ".set noat",
    ".globl _start",
    "_start:",
    "move $fp, $zero",
    "move $ra, $zero",
    "move $a0, $sp",
    "addiu $t0, $zero, -16",
    "and $sp, $sp, $t0",
    "addiu $sp, $sp, -16",
    "lui $t9, %hi({entry})",
    "addiu $t9, $t9, %lo({entry})",
    "jr $t9",
    "nop",
    ".set pop",
    entry = sym entry
);

// The kernel leaves the entry point in r12; globals are found from r2.
#[cfg(target_arch = "powerpc64")]
global_asm!(
    ".globl _start",
    ".type _start, @function",
    "_start:",
    "addis 2, 12, .TOC.-_start@ha",
    "addi 2, 2, .TOC.-_start@l",
    "mr 3, 1",
    "clrrdi 1, 1, 4",
    "li 0, 0",
    "stdu 0, -32(1)",
    "mtlr 0",
    "bl {entry}",
    "nop",
    entry = sym entry
);

/// The first argument: the name that the program was started by.
#[derive(Clone, Copy)]
pub struct Name(Option<&'static CStr>);

impl Name {
    /// The name; missing when the caller gave no arguments at all.
    pub fn get(self) -> Option<&'static CStr> {
        self.0
    }
}

unsafe extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: the kernel puts the count of the arguments there, then a pointer to each.
    let name = unsafe {
        let (count, first) = (stack.read(), stack.add(1).cast::<*const c_char>());
        Name((count > 0).then(|| CStr::from_ptr(first.read())))
    };
    super::syscall::exit(crate::main(name))
}
