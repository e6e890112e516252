// Package dialer turns an address into a TCP connection from a good source, and
// keeps a truthful record of how that connection ended.
//
// A [Dialer] reads like net.Dialer and can stand wherever a dial function is
// wanted: http.Transport.DialContext, database drivers, gRPC. Name resolution
// and Happy Eyeballs are net.Dialer's own. What is added:
//
//   - Sources: the local addresses to dial from, given as prefixes or by
//     interface. Each has a full range of local ports for each destination, and a
//     dial takes the one with the most left, or the one that a [Chooser] or the
//     context ([WithSource]) says. One that has run out of ports, or that the
//     kernel refuses, makes room for the next within the same dial.
//   - Budgets: the ports in use of each source towards each destination, those in
//     TIME_WAIT included ([Budgets]). When none is left a dial fails at once, with
//     an [ExhaustedError] that has the figures, or waits for one
//     (Dialer.WaitForPort), and the kernel is spared the search.
//   - Socket options that keep dialing cheap and harmless (Linux): a port is
//     picked at connect, where it need only be unique towards one destination
//     (IP_BIND_ADDRESS_NO_PORT), by a search that stays fast while the range
//     fills (IP_LOCAL_PORT_RANGE). A connection that loses the race of Happy
//     Eyeballs leaves no TIME_WAIT.
//   - [Conn], which still is a *net.TCPConn, so that sendfile and splice work. It
//     counts payload bytes, tells whether the peer has closed without reading
//     from it ([Conn.Peek]), closes without TIME_WAIT when asked, by RST
//     ([Conn.Reset]) or by leaving it to the peer to close first ([CloseMode]),
//     and records who closed first and what that left behind ([CloseRecord]).
//   - [ControlFunc]: socket options that this package's Dialer and net.Dialer
//     both take, such as [UserTimeout] and [BindToDevice].
//   - [Listener], the other side of it: it counts and limits the connections that
//     it accepts, can share its port, and is replaced without losing any of them,
//     by draining ([Listener.Drain]) or by handing the socket over ([HandOver]).
//
// It does not pool connections, repeat a dial that the peer refused, or dial
// another host than the one it was given. It speaks no TLS and no HTTP. It never
// logs, and runs no goroutine of its own but one for each closed connection whose
// peer is still waited for.
//
// Linux is its first home. Elsewhere it dials and counts the same, binds plainly
// where sources are given, and says "unknown" where the system cannot be asked.
package dialer
