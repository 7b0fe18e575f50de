package audit_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"coin.internal/coin-agent/agent/audit"
)

// actions returns the actions of entries in order.
func actions(all []audit.Entry) (list []audit.Action) {
	for _, entry := range all {
		list = append(list, entry.Action)
	}
	return list
}

// After a crash, Open removes an incomplete line, wherever it ends, and appends an
// entry about it.
func TestTornTail(t *testing.T) {
	dir, head := written(t, 3)
	full, _ := written(t, 2)
	data, line := content(t, dir), lines(content(t, full))[1]
	for size := 1; size < len(line); size += 7 {
		put(t, dir, append(bytes.Clone(data), line[:size]...))
		if report := verify(t, dir, head); report.Torn != size || len(report.Problems) > 0 {
			t.Fatalf("%+v", report)
		}
		log := open(t, dir, head)
		sound(t, dir, log.Head(), 4)
		last := entries(t, dir)[3]
		if want := fmt.Sprintf("removed an incomplete line of %d bytes", size); last.Action != audit.Recovered || last.Detail != want {
			t.Errorf("%+v", last)
		}
		if report := verify(t, dir, log.Head()); len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "entry 4, ") {
			t.Errorf("notes: %q", report.Notes)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// If the log is truncated, replaced or removed while the agent is stopped, every
// later check finds the gap. Numbers are not reused.
func TestGapStays(t *testing.T) {
	other, _ := written(t, 9)
	foreign := content(t, other)
	for name, test := range map[string]struct {
		spoil func(data []byte) []byte
		next  uint64
		want  string
	}{
		"cut":      {func(data []byte) []byte { return bytes.Join(lines(data)[:2], nil) }, 6, "entries 3 to 5 are missing, but the state file has entry 5"},
		"torn":     {func(data []byte) []byte { return data[:len(data)-1] }, 6, "entry 5 is missing, but the state file has entry 5"},
		"emptied":  {func([]byte) []byte { return nil }, 6, "entries 1 to 5 are missing, but the state file has entry 5"},
		"replaced": {func([]byte) []byte { return foreign }, 10, "the log was replaced"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, head := written(t, 5)
			put(t, dir, test.spoil(content(t, dir)))
			for range 3 {
				log := open(t, dir, head)
				if err := log.Append(numbered(1)); err != nil {
					t.Fatal(err)
				}
				if head = log.Head(); head.Seq <= test.next {
					t.Errorf("continued at entry %d", head.Seq)
				}
				if err := log.Close(); err != nil {
					t.Fatal(err)
				}
				report := verify(t, dir, head)
				if len(report.Problems) != 1 {
					t.Errorf("got %v", report.Problems)
				}
			}
			all := entries(t, dir)
			at := slices.IndexFunc(all, func(e audit.Entry) bool { return e.Action == audit.Gap })
			if at < 0 || all[at].Seq != test.next || !strings.Contains(all[at].Detail, test.want) {
				t.Errorf("gap %d: %+v", at, all)
			}
		})
	}
}

// Without the state file, the log continues with an entry that says that entries may
// be missing.
func TestStateFileLost(t *testing.T) {
	dir, _ := written(t, 3)
	log := open(t, dir, audit.Head{})
	sound(t, dir, log.Head(), 4)
	if report := verify(t, dir, log.Head()); len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "the state file had no last entry") {
		t.Errorf("notes: %q", report.Notes)
	}
}

// Append finds changes of the file since the last write.
func TestChangedWhileOpen(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"removed": os.Remove,
		"emptied": func(path string) error { return os.Truncate(path, 0) },
		"cut":     func(path string) error { return os.Truncate(path, 700) },
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, []byte("x\n"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, head := written(t, 4)
			log := open(t, dir, head)
			if err := spoil(filepath.Join(dir, audit.FileName)); err != nil {
				t.Fatal(err)
			}
			if err := log.Append(numbered(9)); err != nil {
				t.Fatal(err)
			}
			if report := verify(t, dir, log.Head()); len(report.Problems) == 0 || !strings.Contains(strings.Join(report.Notes, "\n"), "missing, but the state file has entry") {
				t.Errorf("got %+v", report)
			}
		})
	}
}

// The tests below run this test program as processes that are killed or limited.
const childEnv = "AUDIT_TEST_CHILD"

func TestMain(m *testing.M) {
	switch dir := os.Getenv(childEnv + "_DIR"); os.Getenv(childEnv) {
	case "append":
		childAppends(dir)
	case "full":
		childFull(dir)
	default:
		os.Exit(m.Run())
	}
}

func child(what, dir string) *exec.Cmd {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childEnv+"="+what, childEnv+"_DIR="+dir)
	command.Stderr = os.Stderr
	return command
}

// childAppends appends until it is killed, and prints each saved head.
func childAppends(dir string) {
	var known audit.Head
	if text := os.Getenv(childEnv + "_HEAD"); text != "" {
		_ = json.Unmarshal([]byte(text), &known)
	}
	log, err := audit.Open(dir, options(known))
	for i := 0; err == nil; i++ {
		if err = log.Append(numbered(i), numbered(i), numbered(i)); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(log.Head())
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// If the agent is killed during appends, no saved entry is lost, and the next agent
// continues the log.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	var known audit.Head
	for round := range 8 {
		command := child("append", dir)
		if known.Known() {
			text, err := json.Marshal(known)
			if err != nil {
				t.Fatal(err)
			}
			command.Env = append(command.Env, childEnv+"_HEAD="+string(text))
		}
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		scanner := bufio.NewScanner(out)
		for line := 0; scanner.Scan(); line++ {
			if err := json.Unmarshal(scanner.Bytes(), &known); err != nil {
				t.Fatal(err)
			}
			if line == 3*round {
				if err := command.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := command.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatal(err)
		}
		if report := verify(t, dir, known); len(report.Problems) > 0 || report.Head.Seq < known.Seq {
			t.Fatalf("after round %d: %+v", round, report)
		}
	}
	log := open(t, dir, known)
	sound(t, dir, log.Head(), int(log.Head().Seq)) //nolint:gosec // a few hundred
}

// childFull appends to a file with a size limit.
func childFull(dir string) {
	log, err := audit.Open(dir, options(audit.Head{}))
	if err == nil {
		err = log.Append(numbered(1))
	}
	limit := syscall.Rlimit{}
	if err == nil {
		err = syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit)
	}
	info, statErr := os.Stat(filepath.Join(dir, audit.FileName))
	if err = errors.Join(err, statErr); err != nil {
		fmt.Println("prepare:", err)
		os.Exit(1)
	}
	for _, room := range []int64{0, 1, 300, 1500} { // a third entry fits into the last, a fourth does not
		low := limit
		low.Cur = uint64(info.Size() + room) //nolint:gosec // a size
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low); err != nil {
			fmt.Println("limit:", err)
		}
		if err := log.Append(numbered(2), numbered(3), numbered(4)); err == nil || !strings.Contains(err.Error(), "write audit log") {
			fmt.Println("full:", err)
		}
		after, err := os.Stat(filepath.Join(dir, audit.FileName))
		if err != nil || after.Size() != info.Size() {
			fmt.Println("left:", after.Size(), err)
		}
	}
	if err := errors.Join(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit), log.Append(numbered(2))); err != nil {
		fmt.Println("room again:", err)
	}
}

// If the disk is full, a failed Append leaves no bytes. Once there is space again,
// the log continues.
func TestNoRoom(t *testing.T) {
	dir := t.TempDir()
	if out, err := child("full", dir).Output(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	sound(t, dir, audit.Head{}, 3)
	if all := entries(t, dir); all[2].Name != "s_db_access.2" {
		t.Errorf("%v", actions(all))
	}
}
