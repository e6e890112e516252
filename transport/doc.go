// Package transport is an http.RoundTripper that keeps connections open, and
// counts what that saves.
//
//	t, err := transport.New(transport.Config{Name: "api"})
//	client := &http.Client{Transport: t}
//
// or, for those who have an *http.Transport set up already,
//
//	t, err := transport.New(transport.Config{Name: "api", Template: theirs})
//
// HTTP itself is spoken by net/http (its ClientConn). This package decides
// which connection a request travels on: it waits, dials, reuses, retries and
// closes, with package pool for the queueing and package dialer for sockets.
//
// # What is counted
//
// An exchange is a final response header received: status 200 or above, or 101.
// Every exchange on a connection that had served one before is one close
// avoided, since a client without reuse would have opened a connection for it
// and closed it. [Stats] has all totals; OpenTelemetry is given the same:
//
//	stayopen.requests             {request}     Stats.Requests
//	stayopen.requests.failed      {request}     Stats.Failed
//	stayopen.retries              {attempt}     Stats.Retries
//	stayopen.exchanges            {exchange}    Stats.Exchanges
//	stayopen.connections.opened   {connection}  Stats.Opened, by stayopen.open.reason (see OpenReason)
//	stayopen.connections.served   {connection}  Stats.Served
//	stayopen.connections.wasted   {connection}  Stats.Wasted (an up-down counter)
//	stayopen.connections.reused   {attempt}     Stats.Reused
//	stayopen.connections.closed   {connection}  Stats.Closed, by stayopen.close.initiator (local, peer, unknown) and stayopen.close.reason
//	stayopen.closes.avoided       {close}       Stats.ClosesAvoided
//	stayopen.dials.failed         {dial}        Stats.FailedDials, by stayopen.dial.step (dns, socket, connect, proxy, tls, other) and error.type (an errno's name, timeout, canceled, no_such_host and others)
//	stayopen.closes.avoided_over_default  {close}  Stats.ClosesAvoidedOverDefault (an up-down counter), only with Config.CompareDefault
//	stayopen.time_waits           {socket}      Stats.TimeWaits
//	stayopen.tls.handshakes       {handshake}   Stats.TLSHandshakes, by tls.resumed
//	stayopen.waits                {attempt}     Stats.Waited
//	stayopen.drained              By            Stats.DrainedBytes
//
// and, by the names that OpenTelemetry's conventions (or, for the last one, .NET)
// have for them,
//
//	http.client.open_connections       {connection}  Stats.Open, an up-down counter, by http.connection.state (active, idle), server.address, server.port and network.protocol.version
//	http.client.active_requests        {request}     Stats.Active and Waiting, added up, an up-down counter, by server.address and server.port
//	http.client.connection.duration    s             a histogram, by server.address, server.port and network.protocol.version
//	http.client.request.time_in_queue  s             a histogram of Stats.WaitTime, by server.address, server.port and network.protocol.version
//
// Each carries the attribute stayopen.transport, which is Config.Name. The first
// 256 hosts of a transport's life have a server.address of their own, all others
// share "_other", which has no port. For a connection to an HTTP proxy that
// serves every target, the host is the proxy. With Config.SchemeAttribute these
// four have url.scheme, too.
//
// A connection's duration is recorded when it is closed, from when TLS and the
// proxy agreed; one that failed before is none. The time in queue is recorded for
// each attempt that waited, dials included, and got a connection: its count is
// Stats.Waited. There is no http.client.request.duration here: what wraps the
// Transport, such as otelhttp, has that, and nothing is counted twice.
//
// The way of a request that finds an idle connection only increments atomic
// integers; they are read when a metric reader collects. Close and Shutdown
// unregister what is read. What was recorded in the histograms is the SDK's, and
// goes on being exported as it is; OpenTelemetry has no way to take it back.
//
// The port budgets of package dialer are the process's. Package dialmetrics
// beneath it reports them, and dialers used without a Transport.
//
// # Closes avoided
//
// There are two figures. Stats.ClosesAvoided is exact: Exchanges less Served, what
// a client that opens a connection for each exchange would have closed more. At
// rest it equals what the servers count. Stats.ClosesAvoidedOverDefault is an
// estimate of what http.DefaultTransport would have opened more, with an error of
// up to 13 % of what it would have opened where dials vary in time; see there.
//
// # Spans and logs
//
// With Config.TracerProvider there is a span stayopen.wait for each attempt that
// waited for a connection or failed to get one, a child of the request's span, and
// a span stayopen.dial for each dial, with children stayopen.dns,
// stayopen.connect (one for each address) and stayopen.tls. A dial belongs to its
// origin: its span is the child of the request that caused it, which it may
// outlive, or a root where Warm or MinConnsPerHost did without one. A wait that
// such a dial has ended is linked to it. There is no span for the request itself:
// otelhttp around the Transport makes that, and nothing is counted twice.
//
// With Config.Logger, opens, closes, failed dials and refusals are logged at the
// level Debug.
//
// The reason unsolicited means that an HTTP/1 server sent something that nobody
// had asked for, which net/http also logs; a 408 on an idle connection, which
// some servers send before they close it, counts as peer_closed. The reason other,
// of opens and of closes, stands for any that this version has no name for.
//
// # Who dials
//
// Config.Dialer, if set; the Template's DialContext and Dial are then not
// called. Without it, the Template's, whose connections are wrapped so that
// counting and closing still work; source addresses and port ranges are
// package dialer's and do not apply then. A dial belongs to the origin, not to
// the request that caused it: it gets that request's context values, but not
// its cancellation, and goes on for others when the request is served sooner or
// given up.
//
// # Peers that are gone without a word
//
// A peer whose machine has lost its power, or to which the way is cut, closes
// nothing. Over HTTP/2 a ping finds that out. With a nil Template one is sent when
// nothing was read from a connection for 30 s, and the connection is given up when
// no answer has come after 15 s more: for up to 45 s requests wait on it, new ones
// among them, and those that may be sent twice are then sent again on another.
// With a Template it is what that says in HTTP2 (SendPingTimeout and PingTimeout),
// and http.DefaultTransport and its clones say nothing: there is no ping, and TCP
// gives up in its own time, on Linux after a quarter of an hour. To know sooner:
//
//	tmpl.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second}
//
// Idle connections are pinged as well. So a ping every 30 s is two in the 90 s for
// which they are kept by default. Servers that count pings take more amiss: those
// of gRPC in Go (1.85), unless told otherwise, end a connection at the fourth ping
// that comes while they send nothing, also in the middle of a call. Where calls
// stay silent for 2 minutes let the server allow it, or ping more rarely. And an
// answer can be late because the ping stands behind a large upload, so that less
// than 15 s gives up some connections that are only slow.
//
// HTTP/1 has no ping. There the request's own deadline ends the wait, or the
// Template's ResponseHeaderTimeout.
//
// # Who shares a connection
//
// Requests to one scheme, host and port, through one proxy with one set of
// credentials, and of one Config.Partition. TLS sessions are resumed within the
// same bounds, unless the Template brings a ClientSessionCache, which then is
// everybody's, or sets SessionTicketsDisabled, VerifyPeerCertificate or
// GetClientCertificate.
//
// NTLM and Negotiate authenticate a connection, and every later request on it
// is taken for that user's. A request whose Authorization or Proxy-Authorization
// has one of these schemes therefore uses HTTP/1.1, and:
//
//   - In a partition, its connection is set aside from a challenge until the
//     answer, and then serves the whole partition, requests without credentials
//     included. So let Partition return the user. (Where HTTP/2 is possible too,
//     requests without credentials prefer it; disable it in Template.Protocols
//     to have them ride what is authenticated.)
//   - In the common partition, its connection never serves a request without
//     such credentials. When the handshake is through, only a request that begins
//     another one (NTLM's negotiate message, the first token of Kerberos or
//     SPNEGO) may have it. If the tokens are of an unknown kind it is closed.
//     The first such request takes the connection on which a response asked for
//     credentials within the last second.
//
// The answer to a challenge goes by the connection that was challenged. If
// several are, it is the one whose request had the same context, else the same
// URL, else the first. So users who authenticate at the same time with neither
// want a partition each; a mistake there ends in a refusal. A challenge that is
// not answered within 10 s closes its connection. CONNECT to a proxy is not
// authenticated in this way.
//
// # Differences from http.Transport
//
// Where a caller could tell, a Transport behaves as net/http's does, error
// texts included, except that:
//
//  1. There is no limit of 2 idle connections per host, and with a nil Template
//     none of 100 in all. Limits that a Template sets are kept. A limit on
//     idle connections closes the one that was used longest ago, not the one
//     that just came free.
//  2. At most 8 connections per origin are dialed at once (MaxDialsPerHost), not
//     counting dials that take longer than 300 ms. Waiting requests are served in
//     order of arrival, each by the first connection that comes free or is dialed,
//     also by a dial whose own request has gone. A dial's error goes to the request
//     that caused it, or to one that has waited as long. While nothing is open, one
//     that timed out fails all that waited for it, and after 8 failures in a row
//     (of the network, TLS or DNS) one fails all that wait without a dial. Where
//     experience says that a connection in use comes free before a dial would be
//     done, a request waits for that first.
//  3. Where HTTP/2 is possible, one connection is dialed first and the protocol
//     learned from it, instead of one for each waiting request; and the peer's
//     limit on streams is known before a second stream is opened.
//  4. When a connection that has served before is lost, a request that may be
//     sent twice is sent again also on HTTP/2, and also if part of a response
//     had come. A request whose body was not read yet needs no GetBody.
//  5. A request that may have been sent and may not be sent twice fails with a
//     [*MaybeSentError], which wraps net/http's error.
//  6. A response body that is closed early is read on for up to 256 KiB and
//     50 ms, mostly after Close has returned. When an HTTP/1 exchange is
//     canceled, or its body is not worth draining, the connection is reset
//     instead of closed, which leaves no TIME_WAIT. Other connections are closed
//     as Config.ClosePolicy says: where the peer has a reason to close first, it
//     is waited for, in the background and for a second by default.
//  7. Every upgrade uses HTTP/1.1, not only those to WebSocket: HTTP/2 has none.
//     TLS then offers "http/1.1" by ALPN instead of nothing, as it does to
//     https proxies.
//  8. A trace's hooks for DNS, connecting and TLS never fire after RoundTrip has
//     returned, even if the dial goes on.
//  9. GotConnInfo.Conn is a *dialer.Conn, which embeds the *net.TCPConn, where
//     package dialer dialed and there is no TLS; beneath TLS, tls.Conn.NetConn
//     returns one. Reused says that a request was sent on the connection before,
//     and not that it merely lay idle. GetConn names the proxy, if there is one,
//     also where an HTTP/2 connection stands already.
//  10. RegisterProtocol on the Template serves every scheme but http and https,
//     and Template.TLSNextProto is refused for protocols other than HTTP/2.
//     A proxy URL with an unknown scheme is an error.
//  11. There is no CancelRequest (deprecated since Go 1.5), and there are Close
//     and Shutdown.
//  12. The PutIdleConn hook runs just before the connection is handed on. A hook
//     or dial function that itself makes a request to the origin being dialed
//     waits for that dial for up to 300 ms, where HTTP/2 is possible.
//  13. Before an idle connection is used its socket is looked at: one that the
//     peer has closed, or on which a plain HTTP/1 peer has sent something
//     unasked, is not used.
//  14. TLS sessions are resumed; net/http does so only with a ClientSessionCache.
//  15. Requests that authenticate by NTLM or Negotiate use HTTP/1.1 and have
//     connections apart from the others'.
//  16. How many idle connections are kept follows demand (IdleWindow). How long
//     follows the peer as well: what it says in Keep-Alive, and after what time,
//     or how many requests, it was seen to close connections of the same origin.
//  17. A dial that fails for want of descriptors or local ports closes an idle
//     connection of any origin and is tried again.
//  18. With MaxConnAge, a request on an HTTP/1 connection that is about to reach
//     its age says Connection: close, as does the last one that a connection takes
//     (MaxRequestsPerConn, and the peer's own limit where it is known).
//  19. The hosts of connections in use are looked up again, and connections to
//     addresses that a host has no more are retired (DNSInterval).
package transport
