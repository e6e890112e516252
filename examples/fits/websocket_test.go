package fits_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/stayopen-go/stayopen/dialer"
)

func Example_webSocket() {
	server := httptest.NewServer(http.HandlerFunc(echoMessage))
	defer server.Close()

	d := &dialer.Dialer{Control: announce}
	ws := &websocket.Dialer{NetDialContext: d.DialContext}
	conn, _, err := ws.Dial(strings.Replace(server.URL, "http", "ws", 1), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	fmt.Println(conn.WriteMessage(websocket.TextMessage, []byte("hello")))
	_, message, err := conn.ReadMessage()
	fmt.Printf("%s %v\n", message, err)
	// Output:
	// dialed tcp4
	// <nil>
	// hello <nil>
}

func echoMessage(w http.ResponseWriter, r *http.Request) {
	conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer conn.Close()
	if kind, message, err := conn.ReadMessage(); err == nil {
		conn.WriteMessage(kind, message)
	}
}
