//! The programs that are run to their end in containers of their own. They are
//! here since an engine behind a broker takes no others.

/// Reads a file of code and says what is wrong with it.
pub const CHECK: &[&str] = &["python3", "-I", "/opt/emcp/bootstrap.py", "check"];

/// Tries what a server reaches of this host and of the cloud's metadata.
///
/// A connection that is refused has reached a machine; one that a firewall
/// ends comes to nothing, or to "no route to host". The gateway of a container
/// is the host's own address in the network. Port 1 (RFC 1078) is one that
/// nobody serves and no operator allows.
pub const REACH: &[&str] = &["python3", "-I", "-c", REACH_SCRIPT];

const REACH_SCRIPT: &str = r#"
import json, socket, struct

def reached(address, port):
    try:
        socket.create_connection((address, port), timeout=2).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True

with open("/proc/net/route") as table:
    routes = [line.split() for line in table.readlines()[1:]]
gateway = next(route[2] for route in routes if route[1] == "00000000")
host = socket.inet_ntoa(struct.pack("<L", int(gateway, 16)))
print(json.dumps({"host": reached(host, 1), "metadata": reached("169.254.169.254", 80)}))
"#;
