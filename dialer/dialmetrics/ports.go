package dialmetrics

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/stayopen-go/stayopen/dialer"
)

// maxPairs bounds how many pairs of a source and a destination have attributes of
// their own. It is for life, so that a pair's figures do not come and go with
// those of others.
const maxPairs = 256

// Ports are the port budgets of the process, as they are reported until Close.
type Ports struct {
	inUse, timeWait, limit metric.Int64ObservableUpDownCounter
	registration           metric.Registration
	once                   sync.Once

	mu    sync.Mutex // guards known; nothing is called under it
	known map[pair]*place
	other *place
}

// place holds the attributes of a pair, or of all others.
type place struct{ attributes metric.MeasurementOption }

func newPlace(kvs ...attribute.KeyValue) *place {
	return &place{metric.WithAttributeSet(attribute.NewSet(kvs...))}
}

type pair struct {
	src netip.Addr
	dst netip.AddrPort
}

// ObservePorts reports the port budgets until Close is called. It fails without a
// provider, or with the meter's error.
func ObservePorts(provider metric.MeterProvider) (*Ports, error) {
	p := &Ports{
		known: make(map[pair]*place),
		other: newPlace(attribute.String("network.local.address", "_other"), attribute.String("network.peer.address", "_other")),
	}
	meter, err := meterOf(provider)
	if err != nil {
		return nil, err
	}
	var errs [3]error
	p.inUse, errs[0] = meter.Int64ObservableUpDownCounter("stayopen.ports.in_use", metric.WithUnit("{port}"), metric.WithDescription("Local ports of connections that are open or being dialed."))
	p.timeWait, errs[1] = meter.Int64ObservableUpDownCounter("stayopen.ports.time_wait", metric.WithUnit("{port}"), metric.WithDescription("Local ports in a TIME_WAIT that this process has left."))
	p.limit, errs[2] = meter.Int64ObservableUpDownCounter("stayopen.ports.limit", metric.WithUnit("{port}"), metric.WithDescription("Local ports that there are to choose from."))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	p.registration, err = meter.RegisterCallback(p.observe, p.inUse, p.timeWait, p.limit)
	return p, err
}

// Close ends the reporting. It may be called several times; the error is always
// nil.
func (p *Ports) Close() error {
	p.once.Do(func() { p.registration.Unregister() })
	return nil
}

func (p *Ports) observe(_ context.Context, o metric.Observer) error {
	// A pair may have several budgets: with ExplicitPorts, and without.
	sums := make(map[*place]*dialer.Budget)
	for b := range dialer.Budgets() {
		at := p.of(pair{b.Source, b.Destination})
		sum := sums[at]
		if sum == nil {
			sum = new(dialer.Budget)
			sums[at] = sum
		}
		sum.Open += b.Open
		sum.TimeWait += b.TimeWait
		sum.Size += b.Size
	}
	for at, sum := range sums {
		o.ObserveInt64(p.inUse, int64(sum.Open), at.attributes)
		o.ObserveInt64(p.timeWait, int64(sum.TimeWait), at.attributes)
		o.ObserveInt64(p.limit, int64(sum.Size), at.attributes)
	}
	return nil
}

// of finds or makes the attributes of a pair.
func (p *Ports) of(at pair) *place {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.known[at]
	if known == nil {
		if len(p.known) >= maxPairs {
			return p.other
		}
		src := "unspecified" // the kernel chooses
		if at.src.IsValid() {
			src = at.src.String()
		}
		known = newPlace(
			attribute.String("network.local.address", src),
			attribute.String("network.peer.address", at.dst.Addr().String()),
			attribute.Int("network.peer.port", int(at.dst.Port())))
		p.known[at] = known
	}
	return known
}
