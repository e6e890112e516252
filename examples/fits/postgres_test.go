package fits_test

import (
	"context"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/stayopen-go/stayopen/dialer"
)

func Example_pgx() {
	l := listen()
	defer l.Close()
	served := make(chan error, 1)
	go func() { served <- servePostgres(l) }()

	d := &dialer.Dialer{Control: announce}
	config, err := pgconn.ParseConfig("postgres://ann@" + l.Addr().String() + "/db?sslmode=disable")
	if err != nil {
		fmt.Println(err)
		return
	}
	config.DialFunc = d.DialContext

	ctx := context.Background()
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		fmt.Println(err)
		return
	}
	tag, err := conn.Exec(ctx, "UPDATE t SET v = 1").ReadAll()
	fmt.Println(tag[0].CommandTag, err)
	fmt.Println(conn.Close(ctx), <-served)
	// Output:
	// dialed tcp4
	// UPDATE 3 <nil>
	// <nil> <nil>
}

// servePostgres speaks as much of PostgreSQL's protocol as one client needs that
// sends queries without a result.
func servePostgres(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	server := pgproto3.NewBackend(c, c)
	if _, err := server.ReceiveStartupMessage(); err != nil {
		return err
	}
	server.Send(&pgproto3.AuthenticationOk{})
	for {
		server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if err := server.Flush(); err != nil {
			return err
		}
		message, err := server.Receive()
		if err != nil {
			return err
		}
		switch message.(type) {
		case *pgproto3.Query:
			server.Send(&pgproto3.CommandComplete{CommandTag: []byte("UPDATE 3")})
		case *pgproto3.Terminate:
			return nil
		default:
			return fmt.Errorf("unexpected %T", message)
		}
	}
}
