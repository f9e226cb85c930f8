pub mod cloud;
pub mod invocation;
pub mod script;
