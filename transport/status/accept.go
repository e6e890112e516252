package status

import (
	"mime"
	"strconv"
	"strings"
)

// wantsJSON reports whether JSON is to be sent. A format that is named counts, then
// the Accept field (RFC 9110, section 12.5.1): JSON must be preferred, so that
// whoever takes anything, as browsers do, gets the page.
func wantsJSON(format string, accept []string) bool {
	switch format {
	case "json":
		return true
	case "html":
		return false
	}
	return quality(accept, "application/json") > quality(accept, "text/html")
}

// quality is how much the Accept field wants a media type, from 0 to 1: what the
// most specific range that covers it says.
func quality(accept []string, media string) float64 {
	kind, _, _ := strings.Cut(media, "/")
	q, best := 0.0, -1
	for _, value := range accept {
		for _, part := range strings.Split(value, ",") {
			name, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			specific := -1
			switch name {
			case media:
				specific = 2
			case kind + "/*":
				specific = 1
			case "*/*":
				specific = 0
			}
			if specific > best {
				q, best = weight(params["q"]), specific
			}
		}
	}
	return q
}

// weight reads a q parameter; one that is not there or makes no sense is 1.
func weight(text string) float64 {
	q, err := strconv.ParseFloat(text, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 1
	}
	return q
}
