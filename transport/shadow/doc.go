// Package shadow watches an HTTP client's transport, whichever it is, counts the
// connections that it opens, and estimates what stayopen would have done in its
// place: proof before the switch.
//
//	watched, err := shadow.New(shadow.Config{Base: http.DefaultTransport})
//	client := &http.Client{Transport: watched}
//	…
//	fmt.Printf("%+v\n", watched.Stats())
//
// The wrapped transport sends every request as it would without the wrapper. It
// is watched through the hooks of net/http/httptrace, beside those that a
// request has already, and through the ends of response bodies. A request costs
// some 2 to 4 microseconds and 15 allocations more. http.Client treats a transport
// that it does not know differently in one respect: to enforce its Timeout it sets
// Request.Cancel, at the price of a goroutine. Deprecated CancelRequest methods
// know nothing of requests sent through the wrapper.
//
// # Counted
//
// [Counts] is exact: at rest it equals what servers count. Only what a transport
// keeps from the hooks is missing, such as the connections of a dial function
// that ignores its context and that no request used, or, if a stayopen transport
// is wrapped, what it dials after the request that caused it has its answer (its
// own Stats have that).
//
// # Estimated
//
// [Estimate] is what a model of another pool makes of the same requests. In the
// model, each takes as long on its connection as it really did, and begins when
// it really began; whether it finds an idle connection, waits or dials is the
// model's business, and dials take as long as the real ones did of late. There
// are two models, one of stayopen's pool with its default settings and one of
// http.DefaultTransport's: 2 idle connections for each host, 100 in all, 90 s.
//
// How far they can be off:
//
//  1. Where dials all take the same time, both models are exact: in tests in
//     which processors take none, they opened as many connections as real ones,
//     to the last, each while it watched the one that it is of and while it
//     watched the other. Dials that take between half as long and one and a half
//     times as long as the mean put single runs off by up to 13 % for
//     http.DefaultTransport, which opened some 120 there, and by up to 29 % for
//     stayopen, which opened 10 to 30, both ways; the mean of 500 runs by up to
//     1.5 % and 3 %.
//  2. Requests whose answers take no time, on a machine whose processors they
//     saturate, have dials that slow each other down and begin so late that some
//     are not needed any more. A model knows nothing of that: over loopback that
//     of http.DefaultTransport was off by up to 10 % in bursts of these, in
//     single runs 14 %. That of stayopen's pool was off, in bursts of 100 on a
//     busy machine, by up to 15 % both ways in the mean of 10 runs, but over TLS
//     with answers that take no time it opened 42 % more while it watched
//     stayopen, and 65 % more while it watched the other.
//  3. Workers that send one request right after the other, all at the same
//     pace, put the two idle connections of http.DefaultTransport on a knife's
//     edge: with 32 of them, five runs opened between 32 and 454 connections
//     for some 9,000 requests. No estimate of it is worth much then.
//  4. In a loop, a request is sent because the one before it has ended. What
//     another transport gains or loses in time would move all later ones. The
//     models do not move them: over stayopen, single runs of some 200
//     connections were off by 12 % one way and 18 % the other, and the mean of
//     20 by 2 %.
//  5. Neither model sees a server close an idle connection, and HTTP/2 is
//     taken to have streams for everybody on one connection for each origin.
//     What a SOCKS proxy connects to is taken for one origin.
//  6. Whether an origin speaks HTTP/2 is known when a first connection to it
//     stands. Where that takes longer than a second, what waits for it is
//     taken for HTTP/1.
//  7. The model of stayopen's pool decides by the pool's own rules when a dial is
//     better than waiting, how many run at once, which of them take too long to
//     be counted on, and which idle connections are surplus. It does not know of
//     deadlines, for which stayopen passes over a request that a connection
//     comes too late for; of dials slower than 300 ms that overtake each other,
//     which it makes up for by others; of idle times and numbers of requests
//     that a server names in Keep-Alive, or was seen to keep to; of addresses
//     that leave the DNS; of connections that belong to who authenticated on
//     them; of requests that fail with another one's dial, or are sent again; of
//     descriptors and ports that run out; nor that CloseIdleConnections cancels
//     dials.
//
// # Metrics
//
// [Stats] has all totals; OpenTelemetry is given the same:
//
//	stayopen.shadow.requests              {request}     Counts.Requests
//	stayopen.shadow.requests.failed       {request}     Counts.Failed
//	stayopen.shadow.requests.sent         {request}     Counts.Sent
//	stayopen.shadow.exchanges             {exchange}    Counts.Exchanges
//	stayopen.shadow.connections.opened    {connection}  Counts.Opened
//	stayopen.shadow.connections.reused    {attempt}     Counts.Reused
//	stayopen.shadow.connections.not_kept  {connection}  Counts.NotKept
//	stayopen.shadow.dials.failed          {attempt}     Counts.FailedDials
//	stayopen.shadow.handshakes            {handshake}   Counts.Handshakes
//	stayopen.shadow.handshakes.failed     {handshake}   Counts.FailedHandshakes
//	stayopen.shadow.bodies                {body}        Counts.Bodies
//	stayopen.shadow.bodies.abandoned      {body}        Counts.Abandoned
//	stayopen.shadow.bodies.broken         {body}        Counts.Broken
//	stayopen.shadow.estimate.opened          {connection}  Estimate.Opened, by stayopen.shadow.model (stayopen, default_transport)
//	stayopen.shadow.estimate.closed          {connection}  Estimate.Closed, by stayopen.shadow.model
//	stayopen.shadow.estimate.closes.avoided  {close}       Estimate.ClosesAvoided, by stayopen.shadow.model (an up-down counter)
//
// Each carries the attribute stayopen.transport, which is Config.Name. They are
// read when a metric reader collects.
package shadow
