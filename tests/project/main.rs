//! The project holds itself to its rules: its code, its documents, the two ways to build for boards, the steps of a
//! deployment. No node is started.

mod circles;
mod cross;
mod dashboard;
mod deploy;
mod man_pages;
mod readme;
mod scenarios;
mod suites;
mod tidy;
