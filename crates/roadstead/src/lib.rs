//! The program: configuration, wiring, life cycle, the private database. Decides nothing itself.

pub mod archive;
pub mod audit;
pub mod command;
pub mod config;
pub mod data_folder;
pub mod database;
pub mod db;
pub mod doctor;
pub mod down;
pub mod handover;
pub mod key_file;
pub mod lifecycle;
pub mod listen;
pub mod packages;
pub mod postgres;
pub mod profile;
pub mod reaper;
pub mod retention;
pub mod rotation;
pub mod service;
pub mod sockets;
pub mod tasks;
pub mod up;
