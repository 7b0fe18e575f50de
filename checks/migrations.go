package checks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"coin.internal/coin-agent/internal/oneline"
)

// Migrations is the table with the migrations of a database.
type Migrations struct {
	Database Database
	Table    string // table or schema.table, spelled as in the database
	Column   string // the column with the IDs: whole numbers, or texts of digits
}

// ErrNoTable means that the table does not exist, as before the first migration.
var ErrNoTable = errors.New("the table does not exist")

// Highest returns the highest ID, or 0 for an empty table.
func (m Migrations) Highest(ctx context.Context) (id int64, err error) {
	err = m.Database.read(ctx, func(connection *pgconn.PgConn) error {
		if _, err := m.columns(ctx, connection); err != nil {
			return err
		}
		rows, err := m.Database.rowsOf(ctx, connection, "SELECT coalesce(max("+quoted(m.Column)+"::bigint), 0) FROM "+quoted(m.Table))
		if err != nil {
			return m.explained(err)
		}
		id, err = strconv.ParseInt(rows[0][0], 10, 64)
		return err
	})
	return id, err
}

// Between lists the migrations above one ID up to another one, in order, by ID and, if
// the table has a column for it, name. It returns at most limit of them, and the number
// of all.
func (m Migrations) Between(ctx context.Context, above, upTo int64, limit int) (list []string, all int, err error) {
	err = m.Database.read(ctx, func(connection *pgconn.PgConn) error {
		columns, err := m.columns(ctx, connection)
		if err != nil {
			return err
		}
		id := quoted(m.Column) + "::bigint"
		rows, err := m.Database.rowsOf(ctx, connection, fmt.Sprintf("SELECT %s, %s, count(*) OVER () FROM %s WHERE %s > $1::bigint AND %s <= $2::bigint ORDER BY 1 LIMIT $3::bigint",
			id, m.name(columns), quoted(m.Table), id, id),
			strconv.FormatInt(above, 10), strconv.FormatInt(upTo, 10), strconv.Itoa(limit))
		if err != nil {
			return m.explained(err)
		}
		for _, row := range rows {
			one := row[0]
			if row[1] != "" {
				one += " (" + oneline.Join(row[1]) + ")"
			}
			if all, err = strconv.Atoi(row[2]); err != nil {
				return err
			}
			list = append(list, one)
		}
		return nil
	})
	return list, all, err
}

// name returns the SQL expression for the migrations' names.
func (m Migrations) name(columns []string) string {
	for _, column := range []string{"name", "version", "filename", "description"} {
		if column != m.Column && slices.Contains(columns, column) {
			return "left(" + quoted(column) + "::text, 120)"
		}
	}
	return "''"
}

// columns returns the table's columns. It checks the type of the column with the IDs.
func (m Migrations) columns(ctx context.Context, connection *pgconn.PgConn) ([]string, error) {
	if err := connection.Exec(ctx, "SET LOCAL statement_timeout = '10s'").Close(); err != nil {
		return nil, databaseError("query", err)
	}
	rows, err := m.Database.rowsOf(ctx, connection, "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "+
		"WHERE attrelid = to_regclass($1)::oid AND attnum > 0 AND NOT attisdropped ORDER BY attname", quoted(m.Table))
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, ErrNoTable
	}
	var names []string
	kind := ""
	for _, row := range rows {
		names = append(names, row[0])
		if row[0] == m.Column {
			kind = row[1]
		}
	}
	switch {
	case kind == "":
		return nil, fmt.Errorf("the table %s has no column %s; it has %s", m.Table, m.Column, strings.Join(names, ", "))
	case !slices.Contains([]string{"bigint", "integer", "smallint", "numeric", "text", "character varying", "character"}, kind):
		return nil, fmt.Errorf("the column %s of %s has the type %s, which is neither a number nor a text", m.Column, m.Table, kind)
	}
	return names, nil
}

// The SQLSTATE for a text that is not a whole number, and for a number out of range.
const (
	stateNoNumber = "22P02"
	stateTooLarge = "22003"
)

// explained replaces the server's error about IDs that are not numbers.
func (m Migrations) explained(err error) error {
	said, ok := errors.AsType[*DatabaseError](err)
	if ok && (said.State == stateNoNumber || said.State == stateTooLarge) {
		return fmt.Errorf("the column %s of %s has IDs that are not whole numbers", m.Column, m.Table)
	}
	return err
}

// quoted returns a name, or names separated by dots, as an SQL identifier.
func quoted(name string) string {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		parts[i] = `"` + strings.ReplaceAll(part, `"`, `""`) + `"`
	}
	return strings.Join(parts, ".")
}
