// Package netconn pools net.Conns, for programs that speak a protocol other than
// HTTP: Redis, memcached, a line protocol of their own. A [Pool]'s DialContext
// takes the place of a net.Dialer's. What it hands out is closed as any net.Conn
// is, and Close gives it back to the pool if it is clean.
//
// # Clean
//
// A connection is given back if nothing on it has failed (a timeout counts, and
// so does the end of what the peer sends), no call on it is under way, the last
// thing done on it was not a Write (its answer is still to come, see
// Config.OneWay), CloseWrite was not called, nothing waits to be read, and the
// peer is still there. Its deadlines are taken off. Otherwise Close closes it.
// Before it is handed out again it is looked at once more: one that the peer has
// closed meanwhile, or on which something came that nobody asked for, is closed,
// and another one takes its place.
//
// # What the pool cannot know
//
// The pool sees bytes, and no protocol. These are the caller's business, and
// [Conn.Discard], which closes in any case, is for all of them:
//
//   - An answer that was read in part, while the rest has not arrived, or one of
//     several answers. Where a call is given up, discard the connection.
//   - What a bufio.Reader over the connection has read ahead: if it still holds
//     bytes when the last answer is complete, something is wrong.
//   - State at the peer: a transaction that was begun, another database chosen.
//     Leave the connection as you found it. What all are to find, such as a login
//     done or a greeting read, is for Config.Dial.
//
// The peer may close a connection in the moment after it was looked at. The first
// call on a connection that was [Conn.Reused] can therefore fail where a new one
// would have worked; whether to try again is for the caller to decide, who knows
// whether a request may be sent twice.
//
// Connections are shared within a network and an address as DialContext was given
// them, and nothing else. If something in the context decides what Config.Dial
// returns, use a pool for each of its values.
//
// # What can be pooled
//
// The pool looks at the socket, so there has to be one: a connection with
// SyscallConn, as package net's have and those that embed them, or a *tls.Conn
// over one. Of a wrapper with SyscallConn it is assumed that nothing read is held
// back above the socket. TLS is judged after decryption where bytes have come in,
// and by the socket where they have not: a record that waits unread closes the
// connection, even if it is a session ticket that would have been harmless; those
// come before the first answer, so that whoever reads an answer has read them.
// Everything else, and every connection on systems that cannot be asked (Plan 9,
// WebAssembly), works, but is closed after its use.
package netconn
