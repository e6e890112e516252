package transport

import (
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// maxHosts bounds how many hosts get attributes of their own in the life of a
// transport; the others are summed up under server.address "_other". It is for
// life, so that a host's figures do not come and go with those of others, and
// what the SDK keeps of histograms stays bounded.
const maxHosts = 256

// versions are the values of network.protocol.version.
var versions = [...]string{"1.1", "2"}

// version is the index in versions of what is spoken on a connection.
func version(http2 bool) int {
	if http2 {
		return 1
	}
	return 0
}

// hosts are those that figures are reported for.
type hosts struct {
	name       attribute.KeyValue
	withScheme bool

	mu    sync.Mutex // guards byKey; nothing is called under it that waits
	byKey map[hostKey]*host
	other *host
}

type hostKey struct{ scheme, addr, port string }

// host holds the attributes of one, made once.
type host struct {
	plain        metric.MeasurementOption
	active, idle [len(versions)]metric.MeasurementOption
	record       [len(versions)][]metric.RecordOption
}

func newHosts(name attribute.KeyValue, withScheme bool) *hosts {
	h := &hosts{name: name, withScheme: withScheme, byKey: make(map[hostKey]*host)}
	h.other = h.newHost(hostKey{addr: "_other"})
	return h
}

// of finds or makes the host of o.
func (h *hosts) of(o origin) *host {
	var key hostKey
	key.addr, key.port = o.server()
	if h.withScheme {
		key.scheme = o.scheme
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.byKey[key]
	if known == nil {
		if len(h.byKey) >= maxHosts {
			return h.other
		}
		known = h.newHost(key)
		h.byKey[key] = known
	}
	return known
}

func (h *hosts) newHost(key hostKey) *host {
	kvs := []attribute.KeyValue{h.name, attribute.String("server.address", key.addr)}
	if port, err := strconv.Atoi(key.port); err == nil {
		kvs = append(kvs, attribute.Int("server.port", port))
	}
	if key.scheme != "" {
		kvs = append(kvs, attribute.String("url.scheme", key.scheme))
	}
	with := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(more, kvs...)...))
	}
	var n host
	n.plain = with()
	for i, v := range versions {
		version := attribute.String("network.protocol.version", v)
		n.active[i] = with(version, attribute.String("http.connection.state", "active"))
		n.idle[i] = with(version, attribute.String("http.connection.state", "idle"))
		n.record[i] = []metric.RecordOption{with(version)}
	}
	return &n
}
