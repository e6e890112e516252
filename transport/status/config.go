package status

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// Config says what a [Handler] shows. It is read once, by [New].
type Config struct {
	// Transports are shown in this order. There must be one at least.
	Transports []*transport.Transport

	// Title heads the page. Empty means the program's name.
	Title string

	// Interval is the time between two points of the charts, of which there are
	// 180. Zero: 5 s, which makes 15 minutes. Negative: the charts have no past,
	// and no timer runs.
	Interval time.Duration

	// MaxRows is how many origins of a transport are shown, and how many port
	// budgets, if the address does not say otherwise. Zero: 100. Negative: as
	// many as an address may ask for, 10,000.
	MaxRows int

	// WithoutHost leaves out what is about the host rather than the program: the
	// findings about its settings, and how many TIME_WAITs it has.
	WithoutHost bool
}

const (
	defaultInterval = 5 * time.Second
	defaultRows     = 100
	maxRows         = 10_000
)

// resolve checks a Config and fills in its defaults.
func (c Config) resolve() (Config, error) {
	if len(c.Transports) == 0 {
		return c, errors.New("status: Config.Transports is empty")
	}
	if slices.Contains(c.Transports, nil) {
		return c, errors.New("status: Config.Transports has a nil")
	}
	c.Transports = slices.Clone(c.Transports)
	if c.Title == "" {
		c.Title = filepath.Base(os.Args[0])
	}
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	switch {
	case c.MaxRows == 0:
		c.MaxRows = defaultRows
	case c.MaxRows < 0 || c.MaxRows > maxRows:
		c.MaxRows = maxRows
	}
	return c, nil
}
