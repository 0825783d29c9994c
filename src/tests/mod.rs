//! Tests of the whole service in one process, on the fake engine: with a real
//! store in a temporary directory, called by HTTP requests without sockets, and
//! on a clock that goes on by leaps when nobody has anything to do.

mod act;
mod app;
mod ask;
mod backup;
mod change;
mod code;
mod create;
mod failures;
mod gate;
mod instances;
mod life;
mod metrics;
mod outside;
mod people;
mod random;
mod read;
mod restarts;
mod roles;
mod routes;
mod settings;
mod silence;
mod sleep;
mod traefik;
mod upgrade;

pub(crate) use upgrade::unpack_fixture;
