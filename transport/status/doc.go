// Package status is a page, and the same as JSON, that shows what transports do:
// their origins, what is open, busy and idle there, how many closes were avoided,
// who closes connections and why, waits, port budgets, TIME_WAITs and what is to
// be said about the host's settings.
//
//	page, err := status.New(status.Config{Transports: []*transport.Transport{t}})
//	...
//	defer page.Close()
//	mux.Handle("/debug/stayopen", page)
//
// The page is one HTML document without anything from elsewhere. It works at any
// address and behind any prefix. With JavaScript it renews itself every 2 s while
// somebody can see it; without, every 10 s. What it shows can be chosen in its
// address, with or without JavaScript:
//
//	q       only origins that have this in scheme, host or proxy, whatever the case
//	sort    origins by one figure, the largest first: exchanges (the default), open,
//	        busy, idle, waiting, opened, avoided, closed, time_waits, failed; or by host
//	limit   how many origins of each transport, and how many port budgets: Config.MaxRows,
//	        and at most 10,000
//	format  html or json, whatever the Accept field says
//
// # JSON
//
// A request whose Accept field prefers application/json to text/html gets a
// [Report]; */* means HTML. Names and meanings of its fields do not change; there
// may be more of them in later versions. Fields whose value is zero are there, but
// for those that say omitempty.
//
//	curl -H 'Accept: application/json' http://localhost:8080/debug/stayopen
//
// # What it costs
//
// However many look, the figures are read once a second at most. No request of the
// transports waits for that, and the page is complete in memory before its first
// byte is sent, so that nobody waits for a slow reader either. With 1,000 origins
// in use a page of the first 100 takes some 4 ms, and one of all of them some 30 ms.
//
// The charts need a past. For it a timer reads the totals every Config.Interval,
// 5 s, from New to Close, and keeps 15 minutes of them in 50 KB for each transport;
// between its ticks there is no goroutine. Findings about the host are made in
// the background when somebody looks and they are older than a minute.
//
// # Who may see it
//
// Whoever can fetch the page sees the names of the hosts that the program talks
// to, its addresses, and settings of its host. There is no login here: put it
// behind one, or on a listener that only operators reach.
//
// Credentials of proxies, the values of Config.Partition and sticky keys are not
// shown. A host's name may hold anything, since it may come from whom the program
// serves: it is escaped, shown with everything but printable ASCII spelled out
// (\u202e), and cut after 200 characters. The page may be framed by pages of its own
// host only, its Content-Security-Policy allows nothing but its own script and
// style, and it takes GET and HEAD only: there is nothing to be changed here.
package status
