// Package freeaddress gives tests a loopback address for a program that is to listen there later. Any
// number of addresses can be asked for at once; each is given to one test.
package freeaddress

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

var given atomic.Int32 // addresses of this process

// New gives a free host:port of this machine. The host is not 127.0.0.1, where other tests listen at
// ports of the kernel's choice: one of them could get the port before it is used.
func New(tb testing.TB) string {
	tb.Helper()
	process := os.Getpid()
	host := fmt.Sprintf("127.%d.%d.%d", 1+process/250%250, process%250, 1+given.Add(1)%250)
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		tb.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		tb.Fatal(err)
	}
	return address
}
