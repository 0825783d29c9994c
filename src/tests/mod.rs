//! Tests of the whole service in one process, on the fake engine: with a real
//! store in a temporary directory, called by HTTP requests without sockets, and
//! on a clock that goes on by leaps when nobody has anything to do.

mod app;
mod life;
mod random;
mod upgrade;
