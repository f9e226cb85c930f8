//! What lies between a function's program and Lambda: [`program`] says whether the runtime can run it, [`budget`] how
//! large it may be, [`package`] makes the archive, and [`emulator`] starts what is in one.

pub mod budget;
pub mod emulator;
pub mod package;
pub mod program;
