package shadow

import (
	"net/http"

	"go.opentelemetry.io/otel/metric"
)

// Config says what a [Transport] wraps and how it reports. It is read once, by
// [New].
type Config struct {
	// Base sends the requests. Required. It stays as it is, and may be used
	// directly as well; what is sent past the wrapper is not counted.
	Base http.RoundTripper

	// Name tells this transport's figures from those of others in the same
	// process: it is the attribute stayopen.transport on every metric.
	// Empty means "default".
	Name string

	// MeterProvider receives the metrics. Nil means OpenTelemetry's global
	// provider, which drops them until the program installs one.
	MeterProvider metric.MeterProvider
}

// ConfigError reports a Config that New refused.
type ConfigError struct {
	Field string // the field of Config
	Text  string // what is wrong, and what is allowed
}

// Error names the field and says what it may hold.
func (e *ConfigError) Error() string { return "shadow: Config." + e.Field + ": " + e.Text }

func (cfg *Config) check() error {
	switch base := cfg.Base.(type) {
	case nil:
		return &ConfigError{"Base", "it is nil; give it the transport to watch, such as http.DefaultTransport"}
	case *http.Transport:
		if base == nil {
			return &ConfigError{"Base", "it is a nil *http.Transport; give it the transport to watch"}
		}
	}
	return nil
}
