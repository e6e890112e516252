package transport

import "time"

// DefaultTemplate is what a nil Config.Template means.
var DefaultTemplate = defaultTemplate

// SetGoneAfter takes d for the time that an address has to be missing for. It is
// called before t's first request.
func SetGoneAfter(t *Transport, d time.Duration) { t.names.goneAfter = d }
