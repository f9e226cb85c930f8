//! The application under release; as the bootstrap of a function, a function that misbehaves.

use std::process::ExitCode;

use spillway_lab::application::{self, Arguments};
use spillway_lab::{broken_function, process};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if let Some(runtime) = broken_function::runtime_api() {
        return broken_function::run(&runtime).await;
    }
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("lab-application: {message}");
            return ExitCode::from(2);
        }
    };
    process::end_with_the_lab();
    match application::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-application: {error}");
            ExitCode::FAILURE
        }
    }
}
