package fits_test

import (
	"fmt"
	"io"

	"k8s.io/client-go/rest"

	"github.com/stayopen-go/stayopen/dialer"
)

func Example_kubernetes() {
	server := site() // stands in for an API server
	defer server.Close()

	d := &dialer.Dialer{Control: announce}
	client, err := rest.HTTPClientFor(&rest.Config{Host: server.URL, Dial: d.DialContext})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()

	resp, err := client.Get(server.URL + "/version")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s\n", body)
	// Output:
	// dialed tcp4
	// /version
}
