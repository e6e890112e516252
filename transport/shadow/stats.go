package shadow

import (
	"time"

	"github.com/stayopen-go/stayopen/transport/internal/model"
)

// Stats is what the wrapped transport has done since New, and what others are
// estimated to have done in its place.
type Stats struct {
	Counts // of all origins: counted, not estimated

	StayOpen Estimate // a transport.Transport with the zero Config
	Default  Estimate // http.DefaultTransport as net/http documents it, whatever is wrapped
}

// Estimate is what another transport would have done with the same requests,
// according to a model of it. It is no measurement: see the package's
// documentation for what it leaves out, and how far it was off in tests. It lags
// behind the counts by up to a second while requests are under way.
type Estimate struct {
	Opened uint64 // connections that it would have opened or be opening
	Closed uint64 // of these, how many it would have closed by now, or handed out by an upgrade

	// ClosesAvoided is Counts.Opened less Opened: connections that the wrapped
	// transport opened, and has closed or will close, and this one would not
	// have opened. It is negative where this one would have opened more.
	ClosesAvoided int64
}

func estimate(c model.Counts, opened uint64) Estimate {
	return Estimate{Opened: c.Opened, Closed: c.Closed, ClosesAvoided: int64(opened) - int64(c.Opened)}
}

// Stats returns the figures, the same that OpenTelemetry is given.
func (t *Transport) Stats() Stats {
	var s Stats
	now := time.Now()
	stayopen, ordinary := t.stayopen.Counts(now), t.ordinary.Counts(now)
	t.tally.each(func(_ target, c Counts) { s.add(c) })
	s.StayOpen, s.Default = estimate(stayopen, s.Opened), estimate(ordinary, s.Opened)
	return s
}

// Origins returns the counts by origin, such as "https://example.com:443". Those
// beyond the first 1,024 share the key "_other".
func (t *Transport) Origins() map[string]Counts {
	all := make(map[string]Counts)
	t.tally.each(func(at target, c Counts) { all[at.String()] = c })
	return all
}
