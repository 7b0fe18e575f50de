package vaulttest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/vault"
)

// Contract is what a server and the client must do together. Each part has engines and roles of
// its own, so that a real server can run all of it.
func Contract(t *testing.T, server Server) {
	t.Helper()
	for name, part := range map[string]func(*lab){
		"versions": versions, "logins": logins, "ends": ends, "meanwhile": endsMeanwhile, "token": ownToken, "refusals": refusals, "gone": gone, "engine": engine, "sealed": sealed,
	} {
		t.Run(name, func(t *testing.T) { part(newLab(t, server, name)) })
	}
}

// lab is an engine with a secret of three versions.
type lab struct {
	*testing.T
	admin  *Admin
	server Server
	name   string
}

const (
	one = "hunter-one-canary"
	two = "hunter-two-canary"
)

func newLab(t *testing.T, server Server, name string) *lab {
	t.Helper()
	l := &lab{T: t, admin: NewAdmin(t, server), server: server, name: name}
	l.admin.Mount(l.mount(), "2")
	l.admin.Allow(name, l.path("db"), l.path("app/*"))
	l.admin.Put(l.path("db"), map[string]any{"password": one})
	l.admin.Put(l.path("db"), map[string]any{"password": two, "port": 5432, "tls": true, "hosts": []string{"a"}})
	l.admin.Put(l.path("db"), map[string]any{"password": two + "3"})
	return l
}

func (l *lab) mount() string           { return "kv-" + l.name }
func (l *lab) path(name string) string { return l.mount() + "/data/" + name }

func (l *lab) options() vault.Options {
	return vault.Options{Address: l.server.Address, CAFile: l.server.CAFile, Mount: l.mount(), TokenFile: l.admin.Token(l.name, nil)}
}

func (l *lab) client(change func(*vault.Options)) *vault.Client {
	l.Helper()
	options := l.options()
	if change != nil {
		change(&options)
	}
	client, err := vault.New(options)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { client.Close(l.Context()) })
	return client
}

// reads wants a version with a password.
func (l *lab) reads(client *vault.Client, number, want int, password string) {
	l.Helper()
	got, data, err := client.Read(l.Context(), l.path("db"), number)
	if err != nil || got != want || string(data["password"]) != password {
		l.Errorf("version %d: got version %d with %d keys, %v; want version %d", number, got, len(data), err, want)
	}
}

// fails wants an error with a text, and whether the agent tries again.
func (l *lab) fails(client *vault.Client, path string, number int, transient bool, text string) {
	l.Helper()
	_, data, err := client.Read(l.Context(), path, number)
	switch {
	case err == nil || !strings.Contains(err.Error(), text):
		l.Errorf("%s: got %v with %d keys, want %q", path, err, len(data), text)
	case fault.IsTransient(err) != transient || fault.CodeOf(err) != fault.CodeVault || fault.Hint(err) == "":
		l.Errorf("%v: transient %t, code %s, hint %q", err, fault.IsTransient(err), fault.CodeOf(err), fault.Hint(err))
	case strings.Contains(fmt.Sprintf("%+v", err), "canary"):
		l.Errorf("the error shows a value: %v", err)
	}
}

func versions(l *lab) {
	client := l.client(nil)
	l.reads(client, 1, 1, one)
	l.reads(client, 2, 2, two)
	l.reads(client, 0, 3, two+"3")
	_, data, err := client.Read(l.Context(), l.path("db"), 2)
	if err != nil || string(data["port"]) != "5432" || string(data["tls"]) != "true" || data["hosts"] != nil || len(data) != 4 {
		l.Errorf("got %d keys, %v", len(data), err)
	}
}

// logins reads with each way to log in, and refuses wrong logins.
func logins(l *lab) {
	role, secretID := l.admin.AppRole("approle-"+l.name, l.name)
	approle := func(o *vault.Options) {
		o.TokenFile, o.RoleIDFile, o.SecretIDFile, o.AuthMount = "", role, secretID, "approle-"+l.name
	}
	l.reads(l.client(approle), 1, 1, one)
	key := newSigner(l)
	l.trustJWT("jwt-"+l.name, key)
	byJWT := func(file string) func(*vault.Options) {
		return func(o *vault.Options) { o.TokenFile, o.JWTFile, o.Role, o.AuthMount = "", file, "agent", "jwt-"+l.name }
	}
	l.reads(l.client(byJWT(key.token(l, "coin"))), 1, 1, one)
	text, err := l.client(approle).Check(l.Context())
	if err != nil || !strings.Contains(text, "valid for 20m0s") {
		l.Errorf("got %q, %v", text, err)
	}
	for text, wrong := range map[string]func(*vault.Options){
		"refuses the login by AppRole at auth/approle-" + l.name: func(o *vault.Options) { approle(o); o.SecretIDFile = l.admin.File("secret_id", "wrong") },
		"refuses the login by JWT as agent":                      byJWT(key.token(l, "another")),
		"refuses the login by JWT as agent ":                     byJWT(newSigner(l).token(l, "coin")),
		"refuses the login by AppRole at auth/nowhere":           func(o *vault.Options) { approle(o); o.AuthMount = "nowhere" },
		"accepts the token in vault_token_file neither":          func(o *vault.Options) { o.TokenFile = l.admin.File("token", "hvs.wrong") },
	} {
		l.fails(l.client(wrong), l.path("db"), 1, true, text)
	}
}

// ends wants the token of a login to end with the client, and that of a file to stay.
func ends(l *lab) {
	role, secretID := l.admin.AppRole("approle-"+l.name, l.name)
	kept := l.options()
	before := l.admin.Tokens()
	client := l.client(func(o *vault.Options) {
		o.TokenFile, o.RoleIDFile, o.SecretIDFile, o.AuthMount = "", role, secretID, "approle-"+l.name
	})
	before++ // that of l.client's options
	l.reads(client, 1, 1, one)
	if during := l.admin.Tokens(); during != before+1 {
		l.Errorf("%d tokens before the login, %d after it", before, during)
	}
	client.Close(l.Context())
	if after := l.admin.Tokens(); after != before {
		l.Errorf("%d tokens before the login, %d after its end", before, after)
	}
	for range 2 {
		own := l.client(func(o *vault.Options) { *o = kept })
		l.reads(own, 1, 1, one)
		own.Close(l.Context())
	}
}

// endsMeanwhile has the token of a client end between two reads: the client logs in again, and a token
// of a file that has ended is not a refusal of the secret.
func endsMeanwhile(l *lab) {
	role, secretID := l.admin.AppRole("approle-"+l.name, l.name)
	client := l.client(func(o *vault.Options) {
		o.TokenFile, o.RoleIDFile, o.SecretIDFile, o.AuthMount = "", role, secretID, "approle-"+l.name
	})
	l.admin.RevokeAfter(func() { l.reads(client, 1, 1, one) })
	l.reads(client, 1, 1, one)
	l.fails(client, l.path("other"), 1, false, "Vault does not allow the agent to read "+l.path("other"))
	var own *vault.Client
	l.admin.RevokeAfter(func() {
		own = l.client(nil)
		l.reads(own, 1, 1, one)
	})
	l.fails(own, l.path("db"), 1, true, "accepts the token in vault_token_file neither")
}

// ownToken renews the token of a file, and reads with one that may not look itself up.
func ownToken(l *lab) {
	text, err := l.client(nil).Check(l.Context())
	if err != nil || !strings.Contains(text, "valid for 1h0m0s") {
		l.Errorf("got %q, %v", text, err)
	}
	bare := l.admin.Token(l.name, map[string]any{"no_default_policy": true})
	l.reads(l.client(func(o *vault.Options) { o.TokenFile = bare }), 1, 1, one)
	root := l.admin.File("token", l.server.Root)
	text, err = l.client(func(o *vault.Options) { o.TokenFile = root }).Check(l.Context())
	if err != nil || !strings.Contains(text, "does not expire") {
		l.Errorf("got %q, %v", text, err)
	}
}

func refusals(l *lab) {
	client := l.client(nil)
	l.admin.Put(l.path("other"), map[string]any{"password": one})
	l.fails(client, l.path("other"), 1, false, "Vault does not allow the agent to read "+l.path("other"))
	l.fails(client, l.path("app/none"), 0, false, "Vault has no version at "+l.path("app/none"))
	l.fails(client, l.path("db"), 4, false, "Vault has no version 4 at "+l.path("db"))
	l.fails(client, "database/creds/app", 0, false, "a dynamic secret, such as database/creds, is another login at each read")
	l.fails(client, l.mount()+"/db", 0, false, "is not a path of data in the KV version 2 engine "+l.mount())
	l.fails(client, l.mount()+"/data/../../sys/mounts", 0, false, "is not a path of data")
}

// gone refuses deleted and destroyed versions, and reads one that was restored.
func gone(l *lab) {
	client := l.client(nil)
	l.admin.Versions("delete", l.path("db"), 1)
	l.admin.Versions("destroy", l.path("db"), 2)
	l.fails(client, l.path("db"), 1, false, "version 1 of "+l.path("db")+" in Vault was deleted")
	l.fails(client, l.path("db"), 2, false, "version 2 of "+l.path("db")+" in Vault was destroyed")
	l.admin.Versions("undelete", l.path("db"), 1)
	l.reads(client, 1, 1, one)
	l.admin.Versions("delete", l.path("db"), 3)
	l.fails(client, l.path("db"), 0, false, "the newest version of "+l.path("db")+" in Vault was deleted")
	l.admin.Do(http.MethodDelete, strings.Replace(l.path("db"), "/data/", "/metadata/", 1), nil)
	l.fails(client, l.path("db"), 1, false, "Vault has no version 1 at")
}

// engine refuses an engine of another kind.
func engine(l *lab) {
	old := "old-" + l.name
	l.admin.Mount(old, "1")
	l.admin.Allow(l.name, old+"/*", "nowhere/*")
	l.admin.Do(http.MethodPost, old+"/data/db", map[string]any{"password": one})
	client := l.client(func(o *vault.Options) { o.Mount = old })
	l.fails(client, old+"/data/db", 0, false, "does not answer like KV version 2")
	l.fails(client, old+"/data/none", 0, false, "Vault has no version at")
	l.fails(l.client(func(o *vault.Options) { o.Mount = "nowhere" }), "nowhere/data/db", 0, false, "")
}

// sealed waits for a sealed server.
func sealed(l *lab) {
	client := l.client(nil)
	l.admin.Do(http.MethodPut, "sys/seal", nil)
	l.fails(client, l.path("db"), 1, true, "is sealed or not available")
	l.admin.Do(http.MethodPut, "sys/unseal", map[string]any{"key": l.server.Unseal})
	l.reads(client, 1, 1, one)
}
