// Command interop runs scenarios of rocketmq-client-go, several at a time because most of their time is waiting, and
// prints one JSON line each: {"scenario", "ok", "ms", "facts"} and, where it failed, "error".
//
//	interop NAMESRV BROKER RUN SCENARIO…      RUN makes names of topics and groups unique
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

type scenario func(lab *lab)

var scenarios = map[string]scenario{
	"send":        send,
	"push":        push,
	"orderly":     orderly,
	"broadcast":   broadcast,
	"retry":       retry,
	"delay":       delay,
	"transaction": transaction,
	"pull":        pull,
	"kill":        kill,
}

type result struct {
	Scenario string         `json:"scenario"`
	Ok       bool           `json:"ok"`
	Ms       int64          `json:"ms"`
	Facts    map[string]any `json:"facts"`
	Error    string         `json:"error,omitempty"`
}

var (
	printing sync.Mutex
	asking   sync.Mutex
	answers  = bufio.NewReader(os.Stdin)
)

func print(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(text))
}

// ask asks the test that runs this for something, and waits until it is done.
func ask(what string) {
	asking.Lock()
	defer asking.Unlock()
	print(map[string]string{"ask": what})
	answer, err := answers.ReadString('\n')
	if err != nil || answer != what+"\n" {
		panic(fmt.Sprintf("asked for %s, got %q, %v", what, answer, err))
	}
}

func main() {
	rlog.SetLogLevel("fatal")
	var running sync.WaitGroup
	for _, name := range os.Args[4:] {
		run, found := scenarios[name]
		if !found {
			panic("no scenario " + name)
		}
		running.Add(1)
		go func(name string, run scenario) {
			defer running.Done()
			print(runOne(name, run))
		}(name, run)
	}
	running.Wait()
}

func runOne(name string, run scenario) (found result) {
	start := time.Now()
	lab := &lab{namesrv: os.Args[1], broker: os.Args[2], name: name + "-" + os.Args[3], facts: map[string]any{}}
	found = result{Scenario: name, Facts: lab.facts, Ok: true}
	defer func() {
		if fault := recover(); fault != nil {
			found.Ok = false
			found.Error = fmt.Sprint(fault)
		}
		found.Ms = time.Since(start).Milliseconds()
		lab.close()
	}()
	run(lab)
	return found
}
