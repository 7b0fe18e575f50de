package checks

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/loopback"
)

// SQL runs one query on a PostgreSQL database in a read-only transaction.
type SQL struct {
	Database Database
	Query    string
	Equals   []string // allowed values of the first column of the first row; empty if the query must only succeed
}

// Database is a PostgreSQL database with its login.
type Database struct {
	Host     string
	Port     int
	Name     string
	User     string
	Password Secret
	SSLMode  SSLMode
	TLS      TLS

	Most limits.Bytes // that the server may answer; 0 means the default
}

// SSLMode is the TLS mode, with the meaning that it has in libpq.
type SSLMode string

// The modes. With a password, SSLPrefer never does without TLS, except to this machine, and
// SSLDisable is refused for other machines.
const (
	SSLDisable    SSLMode = "disable"
	SSLPrefer     SSLMode = "prefer"
	SSLRequire    SSLMode = "require"
	SSLVerifyFull SSLMode = "verify-full"
)

func (c *SQL) kind() string { return "sql" }

func (c *SQL) target(*run) string { return c.Database.String() }

func (c *SQL) try(ctx context.Context, r *run) error {
	got, rows, err := c.Database.First(ctx, r.public(c.Query))
	if err != nil {
		return err
	}
	want := r.all(c.Equals)
	switch {
	case len(want) == 0:
		return nil
	case rows == 0:
		return fmt.Errorf("got no row, want %s", oneOf(want))
	case !slices.Contains(want, got):
		return fmt.Errorf("got %s, want %s", r.excerpt(got), oneOf(want))
	}
	return nil
}

func (d Database) most() limits.Bytes { return cmp.Or(d.Most, limits.Default().AnswerBytes) }

// String returns the database's address without the password.
func (d Database) String() string { return fmt.Sprintf("%s@%s:%d/%s", d.User, d.Host, d.Port, d.Name) }

// First returns the first column of the first row of a query as a text, and the number
// of rows. Null is "". The query must only read.
func (d Database) First(ctx context.Context, query string) (value string, rows int, err error) {
	err = d.read(ctx, func(connection *pgconn.PgConn) error {
		result := connection.ExecParams(ctx, query, nil, nil, nil, nil)
		for ; result.NextRow(); rows++ {
			if columns := result.Values(); rows == 0 && len(columns) > 0 {
				value = string(columns[0])
			}
		}
		if _, err := result.Close(); err != nil {
			return databaseError("query", err)
		}
		return nil
	})
	return value, rows, err
}

// read connects, and calls ask in a read-only transaction.
func (d Database) read(ctx context.Context, ask func(*pgconn.PgConn) error) error {
	config, err := d.config()
	if err != nil {
		return err
	}
	connection, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return databaseError("got no connection", err)
	}
	// Close sends a message to the server, unless the context has ended.
	defer func() { _ = connection.Close(ctx) }()
	if err := connection.Exec(ctx, "BEGIN READ ONLY").Close(); err != nil {
		return databaseError("begin", err)
	}
	return ask(connection)
}

// rowsOf returns the rows of a query, each value as a text. Null is "".
func (d Database) rowsOf(ctx context.Context, connection *pgconn.PgConn, query string, args ...string) ([][]string, error) {
	values := make([][]byte, 0, len(args))
	for _, arg := range args {
		values = append(values, []byte(arg))
	}
	result := connection.ExecParams(ctx, query, values, nil, nil, nil)
	var rows [][]string
	var size limits.Bytes
	for result.NextRow() && size <= d.most() {
		found := result.Values()
		row := make([]string, 0, len(found))
		for _, value := range found {
			row, size = append(row, string(value)), size+limits.Bytes(len(value))
		}
		rows = append(rows, row)
	}
	if _, err := result.Close(); err != nil {
		return nil, databaseError("query", err)
	}
	if size > d.most() {
		return nil, limits.Over(fault.Place{}, "answer_bytes", "the answer of "+d.Host+" has", d.most())
	}
	return rows, nil
}

// config uses neither the environment nor files in a home directory: it replaces all
// settings that pgconn takes from there.
func (d Database) config() (*pgconn.Config, error) {
	config, err := pgconn.ParseConfig("host=localhost port=5432 user=coin dbname=coin password=none sslmode=disable " +
		"passfile=/dev/null target_session_attrs=any connect_timeout=0 sslnegotiation=postgres channel_binding=prefer sslrootcert='' sslcert='' sslkey=''")
	if err != nil {
		return nil, errors.New("a PG… variable in the agent's environment is not valid")
	}
	config.Host, config.Port, config.Database, config.User = d.Host, uint16(d.Port), d.Name, d.User //nolint:gosec // a port
	config.Password = reveal(d.Password)
	config.RuntimeParams = map[string]string{"application_name": "coin-agent"}
	config.TLSConfig, config.Fallbacks = nil, nil
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		frontend := pgproto3.NewFrontend(r, w)
		frontend.SetMaxBodyLen(int(d.most())) // of one row; only the first one is kept
		return frontend
	}
	exposed := config.Password != "" && !loopback.Is(d.Host) // without TLS, others could read it
	if d.SSLMode == SSLDisable {
		if exposed {
			return nil, errUnencrypted
		}
		return config, nil
	}
	secured, err := d.TLS.config()
	if err != nil {
		return nil, err
	}
	if secured.ServerName == "" {
		secured.ServerName = d.Host
	}
	secured.InsecureSkipVerify = d.SSLMode != SSLVerifyFull //nolint:gosec // the modes of libpq
	secured.MinVersion = tls.VersionTLS12
	config.TLSConfig = secured
	if d.SSLMode == SSLPrefer && !exposed {
		config.Fallbacks = []*pgconn.FallbackConfig{{Host: d.Host, Port: config.Port}}
	}
	return config, nil
}

// DatabaseError is an error of a database. It contains neither values of rows nor the
// login.
type DatabaseError struct {
	Doing string // what failed
	Text  string
	State string // the server's SQLSTATE, or "" if the error is not from the server
}

func (e *DatabaseError) Error() string { return e.Doing + ": " + e.Text }

// dataException begins the codes of errors about a value, whose messages quote it.
const dataException = "22"

// databaseError converts an error. For an error of the server it uses only the message and
// the code, because the details may quote rows.
func databaseError(doing string, err error) error {
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		message := said.Message
		if strings.HasPrefix(said.Code, dataException) {
			message = "a value does not fit (not shown)"
		}
		return &DatabaseError{Doing: doing, State: said.Code, Text: fmt.Sprintf("%s: %s (%s)", said.Severity, message, said.Code)}
	}
	text := err.Error()
	if connecting, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		lines := strings.Split(strings.TrimSpace(connecting.Unwrap().Error()), "\n")
		text = strings.TrimSpace(lines[len(lines)-1])
	}
	return &DatabaseError{Doing: doing, Text: text}
}
