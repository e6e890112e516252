package fits_test

import (
	"fmt"
	"io"
	"net/http"

	"github.com/stayopen-go/stayopen/dialer"
)

func Example_netHTTP() {
	server := site()
	defer server.Close()

	d := &dialer.Dialer{Control: announce}
	tr := &http.Transport{DialContext: d.DialContext}
	defer tr.CloseIdleConnections()

	resp, err := (&http.Client{Transport: tr}).Get(server.URL + "/hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s\n", body)
	// Output:
	// dialed tcp4
	// /hello
}
