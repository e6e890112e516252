package main

import (
	"io"
	"net/url"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// linkAttributes names the attribute that holds the link, of elements that lead to
// a page.
var linkAttributes = map[atom.Atom]string{
	atom.A: "href", atom.Area: "href", atom.Frame: "src", atom.Iframe: "src",
}

// links reads an HTML page to its end and returns where it leads, in its order and
// each once. The error is that of r.
func links(r io.Reader, page *url.URL) ([]*url.URL, error) {
	z := html.NewTokenizer(r)
	z.SetMaxBuf(1 << 20) // of one token
	base := page
	var found []*url.URL
	seen := map[string]bool{}
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); err != io.EOF && err != html.ErrBufferExceeded {
				return found, err
			}
			// What follows a token without end is read all the same, or the
			// connection would be lost.
			_, err := io.Copy(io.Discard, r)
			return found, err
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			tag := atom.Lookup(name)
			if tag == atom.Base {
				if u := resolve(page, attribute(z, more, "href")); u != nil {
					base = u
				}
			} else if attr, ok := linkAttributes[tag]; ok {
				if link := attribute(z, more, attr); link != "" {
					if u := resolve(base, link); u != nil && !seen[u.String()] {
						seen[u.String()] = true
						found = append(found, u)
					}
				}
			}
		}
	}
}

// attribute returns the value of the current tag's attribute, "" if it has none.
func attribute(z *html.Tokenizer, more bool, name string) string {
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if string(key) == name {
			return string(value)
		}
	}
	return ""
}
