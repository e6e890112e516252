package fits_test

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/stayopen-go/stayopen/dialer"
)

func Example_redis() {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	d := &dialer.Dialer{Control: announce}
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Dialer: d.DialContext})
	defer client.Close()

	ctx := context.Background()
	fmt.Println(client.Set(ctx, "key", "value", 0).Err())
	fmt.Println(client.Get(ctx, "key").Result())
	// Output:
	// dialed tcp4
	// <nil>
	// value <nil>
}
