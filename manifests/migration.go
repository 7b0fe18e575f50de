package manifests

import (
	"strconv"
	"strings"
)

// MigrationCheck is the section `deployment.migration_check`.
type MigrationCheck struct {
	Enabled          bool     `yaml:"enabled" required:"true" doc:"Whether the agent checks migrations, and asks before a rollback crosses one."`
	Stacks           []string `yaml:"stacks" json:",omitempty" example:"[business]" doc:"On a node with several stacks, those whose rollouts migrate the database. Default: the last of the list."`
	Table            string   `yaml:"table" default:"schema_migrations" format:"table" doc:"The table with the migration IDs, spelled as in the database."`
	Column           string   `yaml:"column" default:"id" format:"column" doc:"The column with the migration IDs: whole numbers, or texts of digits."`
	ExpectedVariable string   `yaml:"expected_variable" default:"EXPECTED_MIGRATION_ID" format:"variable" doc:"The variable in node.env or the project settings that holds the highest migration ID that a release expects."`
	User             string   `yaml:"user" example:"coin_reader" doc:"The user. Default: database.user."`
	PasswordSecret   string   `yaml:"password_secret" example:"DATABASE_PASSWORD" doc:"The secret of the node that holds the password."`
	PasswordFile     string   `yaml:"password_file" format:"plainfile" example:"db.password" doc:"The file in the agent's check_dir that holds the password instead."`
	SSLMode          string   `yaml:"sslmode" enum:"disable|prefer|require|verify-full" default:"prefer" doc:"The TLS mode, with the meaning that it has in psql. A password is sent to another machine only with TLS: there prefer requires TLS, and disable is refused."`
	TLS              CheckTLS `yaml:"tls" doc:"Which server certificate is trusted, for sslmode: verify-full."`
}

const migrationKey = "deployment.migration_check"

// SQL returns the section's login as a sql check.
func (m MigrationCheck) SQL() SQLCheck {
	return SQLCheck{User: m.User, PasswordSecret: m.PasswordSecret, PasswordFile: m.PasswordFile, SSLMode: m.SSLMode, TLS: m.TLS}
}

// Secrets lists the secrets that the migration check needs, by the key that names
// each. A disabled check needs none.
func (m MigrationCheck) Secrets() map[string]string {
	named := map[string]string{}
	if m.Enabled && m.PasswordSecret != "" {
		named[migrationKey+".password_secret"] = m.PasswordSecret
	}
	if m.Enabled && m.TLS.CASecret != "" {
		named[migrationKey+".tls.ca_secret"] = m.TLS.CASecret
	}
	return named
}

// migrations finds missing settings of a node's migration check: the database, and a
// valid ID in the release.
func (l *loader) migrations() {
	config := l.node.Config
	check := config.Deployment.MigrationCheck
	if !check.Enabled {
		return
	}
	var lacking []string
	for _, need := range []struct{ name, value string }{
		{"database.host", config.Database.Host}, {"database.name", config.Database.Name}, {"database.user", check.User + config.Database.User},
	} {
		if need.value == "" && !config.set(need.name) {
			lacking = append(lacking, need.name)
		}
	}
	if list := strings.Join(lacking, ", "); list != "" {
		l.faults.add(config.Place(migrationKey), "add "+list+", or write enabled: false", "%s is enabled, but config.yml does not set %s", migrationKey, list)
	}
	expectMigration(l, check.ExpectedVariable)
}

// expectMigration sets the highest migration ID that the release expects, if
// node.env or the project settings set it.
func expectMigration(l *loader, name string) {
	variable, named := l.node.Variables[name]
	for _, s := range l.project {
		if s.name == name && !named {
			variable = Variable{Value: s.value, Place: s.place}
		}
	}
	text := strings.Trim(strings.TrimSpace(variable.Value), `"'`)
	if text == "" {
		return
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 0 {
		l.faults.add(variable.Place, "write the highest migration ID, such as "+name+"=565", "%s is not a migration ID: %q", name, text)
		return
	}
	l.node.ExpectedMigration = &id
}
