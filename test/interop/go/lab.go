package main

import (
	"context"
	"fmt"
	"reflect"
	"sort"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const (
	waitTime = 180 * time.Second
	// A scenario that shares the processor with others is not to fail for it.
	sendTime = 60 * time.Second
)

// lab is one scenario's place: names of its own, and clients that are shut down at its end.
type lab struct {
	namesrv, broker, name string
	facts                 map[string]any
	closings              []func()
}

func (l *lab) named(what string) string { return l.name + "-" + what }

func (l *lab) close() {
	for index := len(l.closings) - 1; index >= 0; index-- {
		func() {
			// The scenario is over, and what it found counts.
			defer func() { _ = recover() }()
			l.closings[index]()
		}()
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func same(what string, expected, actual any) {
	if !reflect.DeepEqual(expected, actual) {
		panic(fmt.Sprintf("%s: expected %v, got %v", what, expected, actual))
	}
}

func that(what string, isSo bool) {
	if !isSo {
		panic(what)
	}
}

func until(what string, holds func() bool) {
	end := time.Now().Add(waitTime)
	for !holds() {
		if time.Now().After(end) {
			panic(fmt.Sprintf("not within %v: %s", waitTime, what))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *lab) resolver() primitive.NsResolver {
	return primitive.NewPassthroughResolver([]string{l.namesrv})
}

// topic makes a topic at the broker and waits until it has a route.
func (l *lab) topic(what string, queues int) string {
	topic := l.named(what)
	maker, err := admin.NewAdmin(admin.WithResolver(l.resolver()))
	must(err)
	l.closings = append(l.closings, func() { _ = maker.Close() })
	// A machine that does other things too may answer later than the client waits.
	until("the making of "+topic, func() bool {
		return maker.CreateTopic(
			context.Background(),
			admin.WithTopicCreate(topic),
			admin.WithBrokerAddrCreate(l.broker),
			admin.WithReadQueueNums(queues),
			admin.WithWriteQueueNums(queues),
		) == nil
	})
	until("the route of "+topic, func() bool {
		found, err := maker.FetchPublishMessageQueues(context.Background(), topic)
		return err == nil && len(found) == queues
	})
	return topic
}

func (l *lab) producer(options ...producer.Option) rocketmq.Producer {
	made, err := rocketmq.NewProducer(append([]producer.Option{
		producer.WithNsResolver(l.resolver()),
		producer.WithGroupName(l.named("producers")),
		producer.WithInstanceName(l.named("producer")),
		producer.WithSendMsgTimeout(sendTime),
	}, options...)...)
	must(err)
	must(made.Start())
	l.closings = append(l.closings, func() { _ = made.Shutdown() })
	return made
}

func (l *lab) options(group, who string, more ...consumer.Option) []consumer.Option {
	return append([]consumer.Option{
		consumer.WithNsResolver(l.resolver()),
		consumer.WithGroupName(l.named(group)),
		consumer.WithInstance(l.named(who)),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, more...)
}

type listener func(context.Context, *primitive.MessageExt) consumer.ConsumeResult

// consume starts a push consumer.
func (l *lab) consume(group, who, topic, tags string, listen listener, more ...consumer.Option) rocketmq.PushConsumer {
	made, err := rocketmq.NewPushConsumer(l.options(group, who, more...)...)
	must(err)
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: tags}
	must(made.Subscribe(topic, selector, func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		outcome := consumer.ConsumeSuccess
		for _, message := range messages {
			outcome = listen(ctx, message)
		}
		return outcome, nil
	}))
	must(made.Start())
	l.closings = append(l.closings, func() { _ = made.Shutdown() })
	return made
}

// delivery is one call of a listener.
type delivery struct {
	message *primitive.MessageExt
	who     string
	at      time.Time
	// As which redelivery it came; the client counts on in the message itself.
	times int32
}

func (d delivery) body() string { return string(d.message.Body) }

// inbox holds what listeners received, in the order of their calls.
type inbox struct {
	mutex sync.Mutex
	list  []delivery
}

func (i *inbox) add(message *primitive.MessageExt, who string) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.list = append(i.list, delivery{message, who, time.Now(), message.ReconsumeTimes})
}

func (i *inbox) all() []delivery {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return append([]delivery{}, i.list...)
}

func (i *inbox) into(who string) listener {
	return func(_ context.Context, message *primitive.MessageExt) consumer.ConsumeResult {
		i.add(message, who)
		return consumer.ConsumeSuccess
	}
}

func (i *inbox) counts() map[string]int {
	counts := map[string]int{}
	for _, got := range i.all() {
		counts[got.body()]++
	}
	return counts
}

// tries are body and count of redeliveries of each that came, however often.
func (i *inbox) tries() map[string]bool {
	tries := map[string]bool{}
	for _, got := range i.all() {
		tries[fmt.Sprintf("%s@%d", got.body(), got.times)] = true
	}
	return tries
}

// hasGivenUp tells whether the client has given up a message that it sent back: where the answer is later than its three seconds, it
// sends a copy of its own, which is younger; where that fails too, it takes the stored one again. Then there may be two of it.
func (i *inbox) hasGivenUp() bool {
	places := map[int64]bool{}
	born := map[string]int64{}
	for _, got := range i.all() {
		place, at := got.message.CommitLogOffset, got.message.BornTimestamp
		first, isKnown := born[got.body()]
		if places[place] || (isKnown && first != at) {
			return true
		}
		places[place] = true
		born[got.body()] = at
	}
	return false
}

func (i *inbox) bodies() []string {
	bodies := []string{}
	for _, got := range i.all() {
		bodies = append(bodies, got.body())
	}
	sort.Strings(bodies)
	return bodies
}

func (i *inbox) awaitBodies(count int) {
	until(fmt.Sprintf("%d messages", count), func() bool { return len(i.counts()) >= count })
}

func numbered(prefix string, count int) []string {
	bodies := []string{}
	for index := 0; index < count; index++ {
		bodies = append(bodies, fmt.Sprintf("%s-%04d", prefix, index))
	}
	return bodies
}

func message(topic, tag, key, body string) *primitive.Message {
	made := primitive.NewMessage(topic, []byte(body))
	if tag != "" {
		made.WithTag(tag)
	}
	return made.WithKeys([]string{key})
}

func sent(found *primitive.SendResult, err error) *primitive.SendResult {
	must(err)
	same("send status", primitive.SendOK, found.Status)
	return found
}
