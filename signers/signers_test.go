package signers_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/signtest"
	"coin.internal/coin-agent/signers"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// signed gives the newest commit and tag of a repository as the agent reads them. tag may
// be empty.
func signed(t *testing.T, repo *gittest.Repo, tag string) signers.Object {
	t.Helper()
	source, err := gitsync.Open(gitsync.Remote{URL: repo.Dir})
	if err != nil {
		t.Fatal(err)
	}
	revision := gitsync.Revision{Commit: repo.Head(), Ref: "master"}
	if tag != "" {
		revision.Ref, revision.Tag = tag, true
	}
	proof, err := source.Proof(t.Context(), revision)
	if err != nil {
		t.Fatal(err)
	}
	from := proof.Commit
	if tag != "" {
		from = *proof.Tag
	}
	return signers.Object{Name: "commit c", Payload: from.Payload, Signature: from.Signature, Email: from.Email, Time: from.Time}
}

// commits makes a commit with a key, or without a signature.
func commits(t *testing.T, key *signtest.Key, message string) signers.Object {
	t.Helper()
	repo := gittest.New(t)
	if key != nil {
		key.Use(repo.Git)
	}
	repo.Commit(message, map[string]string{"a": "1"})
	return signed(t, repo, "")
}

func load(t *testing.T, files signers.Files) *signers.Ring {
	t.Helper()
	ring, err := signers.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// said checks who signed, or the words of the refusal.
func said(t *testing.T, ring *signers.Ring, o signers.Object, now time.Time, want string) {
	t.Helper()
	who, err := ring.Verify(o, now)
	if err != nil {
		who = "refused: " + err.Error() + " | " + fault.Hint(err)
	}
	if !strings.Contains(who, want) || strings.HasPrefix(who, "refused") != strings.HasPrefix(want, "commit c") {
		t.Errorf("got %q, want %q", who, want)
	}
}

func TestOpenPGP(t *testing.T) {
	now := time.Now()
	ada := signtest.OpenPGP(t, "Ada <ada@coin.example>", "never", time.Time{})
	bob := signtest.OpenPGP(t, "Bob <bob@coin.example>", "never", time.Time{})
	eve := signtest.OpenPGP(t, "Ada <ada@coin.example>", "never", time.Time{}) // the same name
	old := signtest.OpenPGP(t, "Old <old@coin.example>", "30d", now.AddDate(0, 0, -40))
	future := signtest.OpenPGP(t, "Future <f@coin.example>", "never", now.AddDate(0, 0, 40))
	ring := load(t, signers.Files{OpenPGP: []string{signtest.File(t, ada.Public, old.Public), signtest.File(t, bob.Public, future.Public)}})
	good := commits(t, &ada, "Good")
	said(t, ring, good, now, "Ada <ada@coin.example> ("+ada.ID+")")
	said(t, ring, commits(t, &bob, "Good, too\n\nWith a body.\n-----BEGIN PGP SIGNATURE-----\n"), now, "Bob <bob@coin.example>")
	said(t, ring, commits(t, nil, "Bad"), now, "commit c is not signed | push a commit or tag signed by Ada <ada@coin.example> ("+ada.ID+") or Old")
	said(t, ring, commits(t, &eve, "Bad"), now, "commit c is signed by the OpenPGP key "+eve.ID+", which policy.signers does not list")
	said(t, ring, commits(t, &old, "Bad"), now, "commit c is signed by Old <old@coin.example> ("+old.ID+"), whose key has expired")
	said(t, ring, commits(t, &future, "Bad"), now, "commit c is signed by Future <f@coin.example> ("+future.ID+"), whose key has expired, or is of the future")

	for name, change := range map[string]func(o *signers.Object){
		"has an invalid signature of Ada":          func(o *signers.Object) { o.Payload = append([]byte("x"), o.Payload...) },
		"there are several":                        func(o *signers.Object) { o.Signature += o.Signature },
		"cannot be read":                           func(o *signers.Object) { o.Signature = "-----BEGIN PGP SIGNATURE-----\n\nx\n" },
		"neither OpenPGP nor SSH":                  func(o *signers.Object) { o.Signature = "-----BEGIN CERTIFICATE-----\n" },
		"larger than":                              func(o *signers.Object) { o.Payload = make([]byte, 2<<20) },
		"commit c has an SSH signature that can":   func(o *signers.Object) { o.Signature = "-----BEGIN SSH SIGNATURE-----\nx\n" },
		"commit c has an OpenPGP signature that c": func(o *signers.Object) { o.Signature = strings.Replace(o.Signature, "\n\n", "\n\nAAAA", 1) },
	} {
		changed := good
		change(&changed)
		if _, err := ring.Verify(changed, now); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An old signature with an end, and a key that its owner revoked.
func TestNoLongerGood(t *testing.T) {
	old := signtest.OpenPGP(t, "Ada <ada@coin.example>", "never", time.Now().AddDate(0, 0, -40))
	o := commits(t, &old, "Change")
	ring := load(t, signers.Files{OpenPGP: []string{signtest.File(t, old.Public)}})
	said(t, ring, o, time.Now(), "Ada")
	o.Signature = old.GPG("--armor", "--default-sig-expire", "10d", "--output", "-", "--detach-sign", signtest.File(t, strings.TrimSuffix(string(o.Payload), "\n")))
	said(t, ring, o, time.Now().AddDate(0, 0, -35), "Ada")
	said(t, ring, o, time.Now(), "commit c is signed by Ada <ada@coin.example> ("+old.ID+") with a signature that has expired")
	o = commits(t, &old, "Change")
	ring = load(t, signers.Files{OpenPGP: []string{signtest.File(t, old.Revoked(t))}})
	said(t, ring, o, time.Now(), "commit c is signed by Ada <ada@coin.example> ("+old.ID+"), whose key is revoked")
}

// TestCopiesOfAKey lists several copies of a key, as after a later export was appended: a revocation
// counts in whichever copy it is, and a longer time as well.
func TestCopiesOfAKey(t *testing.T) {
	now := time.Now()
	ada := signtest.OpenPGP(t, "Ada <ada@coin.example>", "30d", now.AddDate(0, 0, -40))
	o, expired := commits(t, &ada, "Change"), ada.Public
	_, after, _ := strings.Cut(ada.GPG("--list-keys", "--with-colons"), "\nfpr:")
	ada.GPG("--faked-system-time", fmt.Sprint(now.AddDate(0, 0, -1).Unix()), "--quick-set-expire", strings.Trim(strings.Split(after, "\n")[0], ":"), "0")
	longer := ada.GPG("--armor", "--export", ada.ID)
	revoked := ada.Revoked(t)
	for _, test := range []struct {
		copies []string
		want   string
	}{
		{[]string{expired}, "commit c is signed by Ada <ada@coin.example> (" + ada.ID + "), whose key has expired"},
		{[]string{expired, longer}, "Ada <ada@coin.example> (" + ada.ID + ")"},
		{[]string{longer, expired}, "Ada <ada@coin.example> (" + ada.ID + ")"},
		{[]string{revoked, longer}, "whose key is revoked"},
		{[]string{longer, revoked}, "whose key is revoked"},
		{[]string{expired, longer, revoked}, "whose key is revoked"},
	} {
		if strings.HasPrefix(test.want, "whose") {
			test.want = "commit c is signed by Ada <ada@coin.example> (" + ada.ID + "), " + test.want
		}
		said(t, load(t, signers.Files{OpenPGP: []string{signtest.File(t, test.copies...)}}), o, now, test.want)
	}
}

// A signature over the digest SHA-1 can be forged.
func TestWeakDigest(t *testing.T) {
	ada := signtest.OpenPGP(t, "Ada <ada@coin.example>", "never", time.Time{})
	o := commits(t, &ada, "Change")
	payload := signtest.File(t, strings.TrimSuffix(string(o.Payload), "\n"))
	ring := load(t, signers.Files{OpenPGP: []string{signtest.File(t, ada.Public)}})
	for digest, want := range map[string]string{"SHA1": "commit c has an OpenPGP signature with the weak digest SHA-1", "SHA512": "Ada"} {
		o.Signature = ada.GPG("--armor", "--digest-algo", digest, "--weak-digest", "MD5", "--allow-weak-digest-algos", "--output", "-", "--detach-sign", payload)
		said(t, ring, o, time.Now(), want)
	}
	o.Signature = ada.GPG("--armor", "--textmode", "--output", "-", "--detach-sign", payload)
	said(t, ring, o, time.Now(), "commit c has an OpenPGP signature that is not one of bytes")
}

func TestSSH(t *testing.T) {
	now := time.Now()
	ada, eve, rsa, ecdsa := signtest.SSH(t, "ed25519"), signtest.SSH(t, "ed25519"), signtest.SSH(t, "rsa"), signtest.SSH(t, "ecdsa")
	good, tampered := commits(t, &ada, "Change"), commits(t, &ada, "Change")
	tampered.Payload = append(tampered.Payload, '\n')
	tests := map[string]struct {
		line   string // of ada's key
		object signers.Object
		want   string
	}{
		"listed":                      {"ada@coin.example " + ada.Public, good, "ada@coin.example (" + ada.ID + ")"},
		"of several":                  {"eve@coin.example " + eve.Public + "\n# Ada\nada@coin.example\t" + ada.Public + " comment", good, "ada@coin.example"},
		"by a pattern":                {"*@coin.example,!eve@coin.example " + ada.Public, good, "*@coin.example"},
		"quoted":                      {`"ada@coin.example" ` + ada.Public, good, "ada@coin.example"},
		"for git":                     {`ada@coin.example namespaces="file,git" ` + ada.Public, good, "ada@coin.example"},
		"valid":                       {`ada@coin.example valid-after="20240101",valid-before="20990101Z" ` + ada.Public, good, "ada@coin.example"},
		"rsa":                         {"ada@coin.example " + rsa.Public, commits(t, &rsa, "Change"), "ada@coin.example"},
		"ecdsa":                       {"ada@coin.example " + ecdsa.Public, commits(t, &ecdsa, "Change"), "ada@coin.example"},
		"a second line fits":          {"eve@coin.example " + ada.Public + "\nada@coin.example " + ada.Public, good, "ada@coin.example"},
		"not signed":                  {"ada@coin.example " + ada.Public, commits(t, nil, "Change"), "commit c is not signed"},
		"not listed":                  {"ada@coin.example " + ada.Public, commits(t, &eve, "Change"), "commit c is signed by the SSH key " + eve.ID + ", which policy.signers does not list"},
		"changed":                     {"ada@coin.example " + ada.Public, tampered, "commit c has an invalid signature of ada@coin.example"},
		"of another's e-mail address": {"eve@coin.example " + ada.Public, good, `commit c is signed by eve@coin.example (` + ada.ID + `), but its committer or tagger is "ada@coin.example"`},
		"excluded":                    {"*@coin.example,!ada@coin.example " + ada.Public, good, "commit c is signed by *@coin.example,!ada@coin.example"},
		"for other things":            {`ada@coin.example namespaces="file" ` + ada.Public, good, "whose line does not list the namespace git"},
		"no longer valid":             {`ada@coin.example valid-before="20250601" ` + ada.Public, good, "whose key was valid until 2025-0"},
		"not valid at the commit":     {`ada@coin.example valid-after="20250601Z" ` + ada.Public, good, "whose key is valid only from 2025-06-01"},
		"not valid yet":               {`ada@coin.example valid-after="209901010000" ` + ada.Public, good, "whose key is valid only from 2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ring := load(t, signers.Files{SSH: []string{signtest.File(t, test.line)}})
			want := test.want
			if strings.HasPrefix(want, "whose") {
				if _, err := ring.Verify(test.object, now); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
				return
			}
			said(t, ring, test.object, now, want)
		})
	}
}

// A signature for another namespace, such as of a file, is none of a commit.
func TestNamespace(t *testing.T) {
	ada := signtest.SSH(t, "ed25519")
	o := commits(t, &ada, "Change")
	o.Signature = ada.SignFile(t, o.Payload, "file")
	ring := load(t, signers.Files{SSH: []string{signtest.File(t, "* "+ada.Public)}})
	said(t, ring, o, time.Now(), "commit c has an invalid signature of *")
	o.Signature = ada.SignFile(t, o.Payload, "git")
	said(t, ring, o, time.Now(), "* (")
}

func TestSignedTags(t *testing.T) {
	for _, key := range []signtest.Key{signtest.SSH(t, "ed25519"), signtest.OpenPGP(t, "Ada <ada@coin.example>", "never", time.Time{})} {
		repo := gittest.New(t)
		repo.Commit("Change", map[string]string{"a": "1"})
		key.Use(repo.Git)
		repo.Annotate("v1")
		files := signers.Files{SSH: []string{signtest.File(t, "* "+key.Public)}}
		if strings.Contains(key.Public, "PGP") {
			files = signers.Files{OpenPGP: []string{signtest.File(t, key.Public)}}
		}
		o, ring := signed(t, repo, "v1"), load(t, files)
		if who, err := ring.Verify(o, time.Now()); err != nil || !strings.Contains(who, key.ID) {
			t.Errorf("%q, %v", who, err)
		}
		o.Signature += "more\n"
		if _, err := ring.Verify(o, time.Now()); err == nil && strings.Contains(key.Public, "ssh") {
			t.Error("text after the signature is accepted")
		}
	}
}

func TestLoad(t *testing.T) {
	ada, weak := signtest.SSH(t, "ed25519").Public, signtest.SSH(t, "rsa -b 1024")
	gpg := signtest.OpenPGP(t, "Ada <ada@coin.example>", "never", time.Time{})
	open := signtest.File(t, "* "+ada)
	if err := os.Chmod(open, 0o666); err != nil {
		t.Fatal(err)
	}
	tests := map[string]signers.Files{
		"read the keys of signers: ":                          {SSH: []string{"/nowhere"}},
		"are not in a regular file":                           {OpenPGP: []string{t.TempDir()}},
		"other users can change the keys of signers":          {SSH: []string{open}},
		"the file has no SSH key":                             {SSH: []string{signtest.File(t, "# nobody")}},
		":2: the line does not have principals and an SSH":    {SSH: []string{signtest.File(t, "* "+ada, ada)}},
		":1: certificates are not supported: cert-authority":  {SSH: []string{signtest.File(t, "* cert-authority "+ada)}},
		`:1: unknown option "no-touch-required"`:              {SSH: []string{signtest.File(t, "* no-touch-required "+ada)}},
		`:1: "soon" is not a time`:                            {SSH: []string{signtest.File(t, `* valid-before="soon" `+ada)}},
		`is not a list of patterns`:                           {SSH: []string{signtest.File(t, "ada@x,, "+ada)}},
		"the RSA key has less than 2048 bits":                 {SSH: []string{signtest.File(t, "* "+weak.Public)}},
		"read the OpenPGP keys of signers: ":                  {OpenPGP: []string{signtest.File(t, "ada")}},
		"the file has no OpenPGP key":                         {OpenPGP: []string{signtest.File(t, "x -----BEGIN PGP")}},
		"the file has a secret key: who reads it can sign":    {OpenPGP: []string{signtest.File(t, gpg.GPG("--armor", "--export-secret-keys"))}},
		"a block is a PGP SIGNATURE":                          {OpenPGP: []string{signtest.File(t, commits(t, &gpg, "x").Signature)}},
		":1: the line does not have principals and an SSH ke": {SSH: []string{signtest.File(t, gpg.Public)}},
	}
	for want, files := range tests {
		_, err := signers.Load(files)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
			continue
		}
		for _, one := range fault.All(err) {
			if fault.Hint(one) == "" {
				t.Errorf("%v has no hint", one)
			}
		}
	}
}

// Keys that are about to expire are found before a commit is refused.
func TestKeys(t *testing.T) {
	soon := signtest.OpenPGP(t, "Ada <ada@coin.example>", "20d", time.Time{})
	ssh := signtest.SSH(t, "ed25519")
	ring := load(t, signers.Files{
		OpenPGP: []string{signtest.File(t, soon.Public)},
		SSH:     []string{signtest.File(t, `bob@x valid-before="20270102Z" `+ssh.Public, "* "+ssh.Public)},
	})
	keys := ring.Keys()
	if len(keys) != 3 || !keys[2].Expires.IsZero() || keys[1].Expires.Format(time.DateOnly) != "2027-01-02" {
		t.Fatalf("%+v", keys)
	}
	if left := time.Until(keys[0].Expires); left < 19*24*time.Hour || left > 21*24*time.Hour {
		t.Errorf("expires in %s", left)
	}
}
