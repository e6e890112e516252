// Package hostcheck says whether a host is set up to open many TCP connections,
// and counts those it has.
//
// [Read] reads the kernel parameters and limits that matter, [Take] counts the
// TCP sockets by state and destination, and [Check] makes findings of both: what
// is set, what that really does on this kernel, what to change, and which
// well-known recipe is wrong. [Settings.Override] puts a file in the format of
// sysctl.conf over what the kernel says, to judge it before it is applied.
//
// Nothing here needs privileges, changes anything, or sends a packet. All of it
// is about the network namespace that the calling process is in.
//
// # What the findings rest on
//
// They were measured on Linux 6.18 in network namespaces, and most are tests of
// this package. Where another version is known to differ, it is taken into
// account. What applies on Windows, macOS and FreeBSD is said too, from those
// systems' documentation; it was not measured.
//
// # The census
//
// On Linux the sockets come from the kernel over netlink (sock_diag), which
// leaves out those that were not asked for: 20,000 TIME_WAITs are counted in some
// 6 ms. Where that is not permitted (some containers), /proc/net/tcp is read
// instead, which takes several times as long, and the [Census] says so. On other
// systems there is no census: its errors wrap [errors.ErrUnsupported].
package hostcheck
