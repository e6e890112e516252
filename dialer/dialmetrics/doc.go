// Package dialmetrics reports to OpenTelemetry what a dialer does that is used
// alone, by pgx or go-redis, say, and the port budgets of the process.
//
//	db, err := dialmetrics.New(dialmetrics.Config{Name: "db", MeterProvider: otel.GetMeterProvider()})
//	defer db.Close()
//	config.DialFunc = db.DialContext
//
// A [Dialer] reports
//
//	stayopen.dialer.dials               {dial}        Totals.Dials
//	stayopen.dialer.dials.failed        {dial}        Totals.Failed, by stayopen.dial.step (dns, socket, connect, other) and error.type (an errno's name, timeout, canceled, no_such_host and others)
//	stayopen.dialer.connections         {connection}  Totals.Open (an up-down counter)
//	stayopen.dialer.connections.closed  {connection}  Totals.Closed, by stayopen.close.initiator (local, peer, unknown) and stayopen.close.kind (fin, reset)
//	stayopen.dialer.time_waits          {socket}      Totals.TimeWaits
//
// Each carries the attribute stayopen.dialer, which is Config.Name.
//
// [Ports] report package dialer's budgets, which are the process's, whoever
// dials: also those of a transport.Transport. So one of them is enough, and a
// second one on the same meter provider would double the figures:
//
//	stayopen.ports.in_use     {port}  Budget.Open (an up-down counter), by network.local.address, network.peer.address and network.peer.port
//	stayopen.ports.time_wait  {port}  Budget.TimeWait (an up-down counter), by network.local.address, network.peer.address and network.peer.port
//	stayopen.ports.limit      {port}  Budget.Size (an up-down counter), by network.local.address, network.peer.address and network.peer.port
//
// Ports are in use if they are in one of the first two. The first 256 pairs of a
// source and a destination have attributes of their own for as long as Ports are
// reported; all others are added up, with _other for both addresses and no port.
// A pair is reported while it has a port in use, or a pause. Its connections came
// from Dialer.Sources: the others are not counted; see dialer.Budgets.
//
// The figures are read when a metric reader collects.
package dialmetrics
