package status_test

import (
	"log"
	"net/http"

	"github.com/stayopen-go/stayopen/transport"
	"github.com/stayopen-go/stayopen/transport/status"
)

// The page is served on an address of its own, which only this host reaches.
func Example() {
	t, err := transport.New(transport.Config{Name: "api"})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	page, err := status.New(status.Config{Transports: []*transport.Transport{t}})
	if err != nil {
		log.Fatal(err)
	}
	defer page.Close()
	mux := http.NewServeMux()
	mux.Handle("/debug/stayopen", page)
	go http.ListenAndServe("localhost:6061", mux)

	client := &http.Client{Transport: t}
	client.Get("https://example.com/")
}
