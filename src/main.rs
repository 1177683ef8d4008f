//! The `auditline` program.

fn main() -> std::process::ExitCode {
    auditline::cli::main()
}
