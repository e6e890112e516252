// Package poolmetrics reports to OpenTelemetry what a pool does that is used
// alone, for a database's connections, say. A transport.Transport has figures of
// its own, which know of HTTP.
//
//	figures, err := poolmetrics.Observe(p, poolmetrics.Config{Name: "db", MeterProvider: otel.GetMeterProvider()})
//	defer figures.Close()
//
// The metrics are
//
//	stayopen.pool.connections         {connection}  Stats.Open (an up-down counter), by stayopen.connection.state (active, idle)
//	stayopen.pool.leases.active       {lease}       Stats.Leases (an up-down counter)
//	stayopen.pool.dials.active        {dial}        Stats.Dialing (an up-down counter)
//	stayopen.pool.waiting             {request}     Stats.Waiting (an up-down counter)
//	stayopen.pool.leases              {lease}       Totals.Leases
//	stayopen.pool.leases.reused       {lease}       Totals.Reused
//	stayopen.pool.waits               {lease}       Totals.Waited
//	stayopen.pool.wait_time           s             Totals.WaitTime
//	stayopen.pool.refused             {request}     Totals.Refused
//	stayopen.pool.dials.failed        {dial}        Totals.FailedDials
//	stayopen.pool.connections.opened  {connection}  Totals.Opened, by stayopen.open.reason
//	stayopen.pool.connections.closed  {connection}  Totals.Closed, by stayopen.close.reason
//
// Each carries the attribute stayopen.pool, which is Config.Name. Keys are no
// attributes: there may be any number of them. The figures are read when a metric
// reader collects; using the pool costs nothing more.
package poolmetrics
