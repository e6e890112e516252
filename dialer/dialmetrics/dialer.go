package dialmetrics

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/dialfail"
	"github.com/stayopen-go/stayopen/internal/modversion"
)

// scope is the instrumentation scope's name: this package's import path.
const scope = "github.com/stayopen-go/stayopen/dialer/dialmetrics"

// Config says what is observed and how it is reported.
type Config struct {
	// Name tells the dialer's figures from those of others in the same process:
	// it is the attribute stayopen.dialer. Empty means "default".
	Name string

	// Dialer dials. Nil means a zero dialer.Dialer.
	Dialer *dialer.Dialer

	// MeterProvider receives the metrics. Required: otel.GetMeterProvider() is
	// the global one. It is not asked for here, since it would have every program
	// that dials link net/http.
	MeterProvider metric.MeterProvider
}

// Totals count what was dialed through a [Dialer]. At rest
//
//	Dials = Open + Closed + Failed, added up, + dials of networks other than TCP
type Totals struct {
	Dials     uint64             // dials that have ended, well or not
	Failed    map[Failure]uint64 // of these, how many failed
	Open      int                // TCP connections that are open
	Closed    map[Close]uint64   // and those that are closed, counted when the record of it is final
	TimeWaits uint64             // of these, how many left a TIME_WAIT here, at most
}

// Failure is where and why a dial failed.
type Failure struct {
	Step string // dns, socket, connect or other
	Kind string // the name of an errno, timeout, canceled, no_such_host, no_source, ports_exhausted, files_exhausted or _OTHER
}

// Close is how a connection ended.
type Close struct {
	By    dialer.Initiator // who closed first
	Reset bool             // whether it ended by RST
}

// Dialer dials through another and counts what comes of it. It is safe for
// concurrent use.
type Dialer struct {
	dialer       *dialer.Dialer
	name         attribute.KeyValue
	dials        metric.Int64ObservableCounter
	failed       metric.Int64ObservableCounter
	open         metric.Int64ObservableUpDownCounter
	closed       metric.Int64ObservableCounter
	timeWaits    metric.Int64ObservableCounter
	registration metric.Registration
	once         sync.Once

	mu     sync.Mutex // guards totals; nothing is called under it
	totals Totals
}

// New makes a Dialer and reports its figures until Close. It fails without a
// MeterProvider, with what dialer.Dialer.Validate returns, or with the meter's
// error.
func New(cfg Config) (*Dialer, error) {
	if cfg.Dialer == nil {
		cfg.Dialer = new(dialer.Dialer)
	}
	if err := cfg.Dialer.Validate(); err != nil {
		return nil, err
	}
	if cfg.Name == "" {
		cfg.Name = "default"
	}
	d := &Dialer{
		dialer: cfg.Dialer,
		name:   attribute.String("stayopen.dialer", cfg.Name),
		totals: Totals{Failed: make(map[Failure]uint64), Closed: make(map[Close]uint64)},
	}
	meter, err := meterOf(cfg.MeterProvider)
	if err != nil {
		return nil, err
	}
	if err := d.create(meter); err != nil {
		return nil, err
	}
	d.registration, err = meter.RegisterCallback(d.observe, d.dials, d.failed, d.open, d.closed, d.timeWaits)
	return d, err
}

func meterOf(provider metric.MeterProvider) (metric.Meter, error) {
	if provider == nil {
		return nil, errors.New("dialmetrics: there is no MeterProvider; otel.GetMeterProvider() is the global one")
	}
	return provider.Meter(scope, metric.WithInstrumentationVersion(modversion.Get())), nil
}

// create makes the instruments. Their names and units are listed in doc.go.
func (d *Dialer) create(meter metric.Meter) error {
	var errs [5]error
	d.dials, errs[0] = meter.Int64ObservableCounter("stayopen.dialer.dials", metric.WithUnit("{dial}"), metric.WithDescription("Dials that have ended, well or not."))
	d.failed, errs[1] = meter.Int64ObservableCounter("stayopen.dialer.dials.failed", metric.WithUnit("{dial}"), metric.WithDescription("Dials that failed."))
	d.open, errs[2] = meter.Int64ObservableUpDownCounter("stayopen.dialer.connections", metric.WithUnit("{connection}"), metric.WithDescription("TCP connections that are open."))
	d.closed, errs[3] = meter.Int64ObservableCounter("stayopen.dialer.connections.closed", metric.WithUnit("{connection}"), metric.WithDescription("TCP connections closed."))
	d.timeWaits, errs[4] = meter.Int64ObservableCounter("stayopen.dialer.time_waits", metric.WithUnit("{socket}"), metric.WithDescription("Closes that left a TIME_WAIT on this host."))
	return errors.Join(errs[:]...)
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext dials as dialer.Dialer.DialContext does. It sets OnClose of the
// connection that it returns: whoever sets another, as a transport.Transport does,
// has the connection counted as open for ever.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dialer.DialContext(ctx, network, address)
	d.count(c, err)
	if tcp, ok := c.(*dialer.Conn); ok && err == nil {
		tcp.OnClose(d.ended)
	}
	return c, err
}

func (d *Dialer) count(c net.Conn, err error) {
	var f Failure
	if err != nil {
		f.Step, f.Kind = dialfail.Of(err)
	}
	_, tcp := c.(*dialer.Conn)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.totals.Dials++
	switch {
	case err != nil:
		d.totals.Failed[f]++
	case tcp:
		d.totals.Open++
	}
}

// ended counts the end of a connection.
func (d *Dialer) ended(r dialer.CloseRecord) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.totals.Open--
	d.totals.Closed[Close{r.By, r.Reset}]++
	if r.TimeWait {
		d.totals.TimeWaits++
	}
}

// Totals returns the figures, the same that OpenTelemetry is given. The maps are
// the caller's.
func (d *Dialer) Totals() Totals {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.totals
	t.Failed, t.Closed = maps.Clone(t.Failed), maps.Clone(t.Closed)
	return t
}

// Close ends the reporting. Dialing and counting go on. It may be called several
// times; the error is always nil.
func (d *Dialer) Close() error {
	d.once.Do(func() { d.registration.Unregister() })
	return nil
}

func (d *Dialer) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, d.name)...))
}

func (d *Dialer) observe(_ context.Context, o metric.Observer) error {
	t := d.Totals()
	o.ObserveInt64(d.dials, int64(t.Dials), d.with())
	o.ObserveInt64(d.open, int64(t.Open), d.with())
	o.ObserveInt64(d.timeWaits, int64(t.TimeWaits), d.with())
	for f, n := range t.Failed {
		o.ObserveInt64(d.failed, int64(n), d.with(attribute.String("stayopen.dial.step", f.Step), attribute.String("error.type", f.Kind)))
	}
	for c, n := range t.Closed {
		kind := "fin"
		if c.Reset {
			kind = "reset"
		}
		o.ObserveInt64(d.closed, int64(n), d.with(attribute.String("stayopen.close.initiator", string(c.By)), attribute.String("stayopen.close.kind", kind)))
	}
	return nil
}
