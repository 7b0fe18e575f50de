package postgrestest

import (
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Impostor is a server that speaks PostgreSQL's protocol, has no TLS, and asks each client
// for its password in plaintext.
type Impostor struct {
	Port int // on all addresses of this machine

	mu  sync.Mutex
	got []string
}

// NewImpostor starts an Impostor, which ends with the test.
func NewImpostor(tb testing.TB) *Impostor {
	tb.Helper()
	listener, err := net.Listen("tcp4", ":0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	i := &Impostor{Port: listener.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go i.serve(connection)
		}
	}()
	return i
}

func (i *Impostor) serve(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	backend := pgproto3.NewBackend(connection, connection)
	for {
		started, err := backend.ReceiveStartupMessage()
		if err != nil {
			return
		}
		if _, wantsTLS := started.(*pgproto3.SSLRequest); !wantsTLS {
			break
		}
		if _, err := connection.Write([]byte("N")); err != nil {
			return
		}
	}
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	if backend.Flush() != nil || backend.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return
	}
	message, err := backend.Receive()
	if password, ok := message.(*pgproto3.PasswordMessage); ok && err == nil {
		i.mu.Lock()
		i.got = append(i.got, password.Password)
		i.mu.Unlock()
	}
}

// Took gives the passwords that it got since the last call.
func (i *Impostor) Took() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	got := i.got
	i.got = nil
	return got
}
