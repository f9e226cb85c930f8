use super::*;

/// A table with one item.
fn items() -> Items {
    let mut items = Items::new("service");
    let item = json!({
        "service": {"S": "shop"}, "owner": {"S": "me"}, "fence": {"N": "7"}, "plan": {"S": "{}"}, "yes": {"BOOL": true},
        "waiting": {"M": {"execution": {"S": "e"}, "since": {"N": "10"}}},
    });
    items.put(&item).unwrap();
    items
}

const NAMES: [(&str, &str); 3] = [("#owner", "owner"), ("#plan", "plan"), ("#w", "waiting")];

/// Arguments with the names and values that their expressions use, of which there are :a, :b (texts), :1, :7 (numbers),
/// :m (a map) and :t (true).
fn arguments(fields: &Value) -> Value {
    let mut arguments = json!({"TableName": "t", "Key": {"service": {"S": "shop"}}});
    arguments.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let texts = ["ConditionExpression", "UpdateExpression", "ProjectionExpression"];
    let texts = texts.map(|name| arguments[name].as_str().unwrap_or_default().to_owned()).join(" ");
    let values = [
        (":a", json!({"S": "me"})),
        (":b", json!({"S": "you"})),
        (":1", json!({"N": "1"})),
        (":7", json!({"N": "7"})),
        (":m", json!({"M": {"x": {"S": "y"}}})),
        (":t", json!({"BOOL": true})),
    ];
    let values: Item = values
        .into_iter()
        .filter(|(name, _)| texts.contains(name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let names: BTreeMap<&str, &str> = NAMES.into_iter().filter(|(name, _)| texts.contains(name)).collect();
    if !names.is_empty() {
        arguments["ExpressionAttributeNames"] = json!(names);
    }
    if !values.is_empty() {
        arguments["ExpressionAttributeValues"] = json!(values);
    }
    arguments
}

#[test]
fn conditions_hold_as_documented() {
    let cases = [
        ("attribute_exists(#owner)", true),
        ("attribute_not_exists(#owner)", false),
        ("attribute_exists(#w.execution)", true),
        ("attribute_exists(#w.nothing)", false),
        ("attribute_exists(#owner.nothing)", false),
        ("#owner = :a", true),
        ("#owner = :b", false),
        ("#owner <> :b", true),
        ("nothing = :a", false),
        ("nothing <> :a", true),
        ("nothing < :7", false),
        ("nothing >= :7", false),
        ("NOT nothing < :7", true),
        ("fence = :7", true),
        ("fence < :7", false),
        ("fence <= :7", true),
        ("fence > :1", true),
        ("fence >= :1", true),
        ("fence < #w.since", true),
        ("#owner < :b", true),
        ("#owner < :7", false),
        (":7 = fence", true),
        ("yes = :t", true),
        ("#owner = :a AND fence = :7", true),
        ("#owner = :a AND fence = :1", false),
        ("attribute_not_exists(#owner) OR #owner = :a", true),
        ("attribute_exists(nothing) AND (attribute_not_exists(#owner) OR #owner = :a)", false),
        ("#owner = :b AND #owner = :b OR fence = :7", true),
        ("#owner = :b AND (#owner = :b OR fence = :7)", false),
        ("not (#owner = :b or fence = :1)", true),
        ("NOT #owner = :b AND fence = :7", true),
    ];
    for (condition, expected) in cases {
        let update = json!({"ConditionExpression": condition, "UpdateExpression": "SET phase = :a"});
        match items().call("updateItem", &arguments(&update)) {
            Ok(answer) => assert_eq!((answer, expected), (json!({}), true), "{condition}"),
            Err(error) => {
                assert_eq!((error.name, expected), ("ConditionalCheckFailedException", false), "{condition}: {error}");
            }
        }
    }
}

#[test]
fn updates_see_the_item_as_it_was() {
    // An update, what differs afterwards (null: removed), and what UPDATED_OLD and UPDATED_NEW say.
    let cases = [
        (
            "SET #owner = :b",
            json!({"owner": {"S": "you"}}),
            json!({"owner": {"S": "me"}}),
            json!({"owner": {"S": "you"}}),
        ),
        (
            "SET fence = fence + :1",
            json!({"fence": {"N": "8"}}),
            json!({"fence": {"N": "7"}}),
            json!({"fence": {"N": "8"}}),
        ),
        (
            "SET fence = fence - :7",
            json!({"fence": {"N": "0"}}),
            json!({"fence": {"N": "7"}}),
            json!({"fence": {"N": "0"}}),
        ),
        (
            "SET fence = if_not_exists(fence, :1) + :1, age = if_not_exists(age, :1) + :1",
            json!({"fence": {"N": "8"}, "age": {"N": "2"}}),
            json!({"fence": {"N": "7"}}),
            json!({"fence": {"N": "8"}, "age": {"N": "2"}}),
        ),
        (
            "SET fence = fence + :1, planned = fence + :1",
            json!({"planned": {"N": "8"}, "fence": {"N": "8"}}),
            json!({"fence": {"N": "7"}}),
            json!({"planned": {"N": "8"}, "fence": {"N": "8"}}),
        ),
        (
            "SET kept = #plan REMOVE #plan, nothing",
            json!({"kept": {"S": "{}"}, "plan": null}),
            json!({"plan": {"S": "{}"}}),
            json!({"kept": {"S": "{}"}}),
        ),
        (
            "remove #plan set a = if_not_exists(b, if_not_exists(#owner, :a))",
            json!({"plan": null, "a": {"S": "me"}}),
            json!({"plan": {"S": "{}"}}),
            json!({"a": {"S": "me"}}),
        ),
        (
            "SET #w.execution = :b, #w.more = :1",
            json!({"waiting": {"M": {"execution": {"S": "you"}, "since": {"N": "10"}, "more": {"N": "1"}}}}),
            json!({"waiting": {"M": {"execution": {"S": "e"}}}}),
            json!({"waiting": {"M": {"execution": {"S": "you"}, "more": {"N": "1"}}}}),
        ),
        (
            "REMOVE #w.execution",
            json!({"waiting": {"M": {"since": {"N": "10"}}}}),
            json!({"waiting": {"M": {"execution": {"S": "e"}}}}),
            json!(null),
        ),
        (
            "SET #w = :m",
            json!({"waiting": {"M": {"x": {"S": "y"}}}}),
            json!({"waiting": items().get("shop").unwrap()["waiting"]}),
            json!({"waiting": {"M": {"x": {"S": "y"}}}}),
        ),
        ("REMOVE nothing", json!({}), json!(null), json!(null)),
    ];
    for (update, changed, old, new) in cases {
        let before = items().get("shop").unwrap().clone();
        let mut after = before.clone();
        for (name, value) in changed.as_object().unwrap() {
            if value.is_null() { drop(after.remove(name)) } else { drop(after.insert(name.clone(), value.clone())) }
        }
        for (returned, expected) in [
            ("NONE", json!(null)),
            ("ALL_OLD", json!(before)),
            ("ALL_NEW", json!(after)),
            ("UPDATED_OLD", old),
            ("UPDATED_NEW", new),
        ] {
            let mut items = items();
            let update = json!({"UpdateExpression": update, "ReturnValues": returned});
            let answer = items.call("updateItem", &arguments(&update)).unwrap();
            assert_eq!(answer["Attributes"], expected, "{update}");
            assert_eq!(answer.as_object().unwrap().contains_key("Attributes"), !expected.is_null(), "{update}");
            assert_eq!(items.get("shop"), Some(&after), "{update}");
        }
    }
}

#[test]
fn an_update_makes_the_item() {
    for (returned, expected) in [
        ("NONE", json!({})),
        ("ALL_OLD", json!({})),
        ("UPDATED_OLD", json!({})),
        ("ALL_NEW", json!({"Attributes": {"service": {"S": "new"}, "fence": {"N": "2"}}})),
        ("UPDATED_NEW", json!({"Attributes": {"fence": {"N": "2"}}})),
    ] {
        let mut items = items();
        let update = json!({"Key": {"service": {"S": "new"}}, "ReturnValues": returned,
            "ConditionExpression": "attribute_not_exists(service)",
            "UpdateExpression": "SET fence = if_not_exists(fence, :1) + :1"});
        assert_eq!(items.call("updateItem", &arguments(&update)).unwrap(), expected, "{returned}");
        assert_eq!(json!(items.get("new")), json!({"service": {"S": "new"}, "fence": {"N": "2"}}));
        let again = items.call("updateItem", &arguments(&update)).unwrap_err();
        assert_eq!(again.to_string(), "ConditionalCheckFailedException: The conditional request failed");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let set = "SET phase = :a";
    let cases = [
        ("updateItem", json!({"UpdateExpression": ""}), "<EOF>"),
        ("updateItem", json!({"UpdateExpression": "ADD fence :1"}), "token: ADD"),
        ("updateItem", json!({"UpdateExpression": "SET phase = :a SET fence = :1"}), "token: SET"),
        ("updateItem", json!({"UpdateExpression": "SET phase = list_append(a, :a)"}), "token: ("),
        ("updateItem", json!({"UpdateExpression": "SET phase = :1 + :1 + :1"}), "token: +"),
        ("updateItem", json!({"UpdateExpression": "SET #w[0] = :a"}), "token: ["),
        ("updateItem", json!({"UpdateExpression": "SET service = :a"}), "part of the key"),
        ("updateItem", json!({"UpdateExpression": "SET phase = :c"}), "not defined: :c"),
        ("updateItem", json!({"UpdateExpression": "SET #c = :a"}), "not defined: #c"),
        ("updateItem", json!({"UpdateExpression": "SET phase = nothing"}), "does not exist in the item"),
        ("updateItem", json!({"UpdateExpression": "SET phase = nothing + :1"}), "does not exist in the item"),
        ("updateItem", json!({"UpdateExpression": "SET phase = #owner + :1"}), "incorrect data type"),
        ("updateItem", json!({"UpdateExpression": "SET nothing.phase = :a"}), "document path"),
        ("updateItem", json!({"UpdateExpression": "REMOVE nothing.phase"}), "document path"),
        ("updateItem", json!({"UpdateExpression": "SET #w = :m, #w.x = :a"}), "overlap"),
        ("updateItem", json!({"UpdateExpression": "SET phase = :a REMOVE phase"}), "overlap"),
        ("updateItem", json!({"UpdateExpression": set, "ConditionExpression": ""}), "<EOF>"),
        ("updateItem", json!({"UpdateExpression": set, "ConditionExpression": "#owner"}), "<EOF>"),
        ("updateItem", json!({"UpdateExpression": set, "ConditionExpression": "(#owner = :a"}), "<EOF>"),
        ("updateItem", json!({"UpdateExpression": set, "ConditionExpression": "contains(#owner, :a)"}), "token: ("),
        ("updateItem", json!({"UpdateExpression": set, "ConditionExpression": "fence BETWEEN :1 AND :7"}), "BETWEEN"),
        ("updateItem", json!({"UpdateExpression": set, "ConditionExpression": "yes < :t"}), "operand type"),
        ("updateItem", json!({"UpdateExpression": set, "Expected": {}}), "unknown field `Expected`"),
        ("updateItem", json!({"UpdateExpression": set, "ReturnValues": "NEW"}), "unknown variant `NEW`"),
        ("updateItem", json!({"UpdateExpression": set, "Key": {"service": {"S": ""}}}), "the key service"),
        ("updateItem", json!({"UpdateExpression": set, "Key": {"name": {"S": "shop"}}}), "the key service"),
        ("updateItem", json!({"UpdateExpression": set, "Key": {"service": {"S": "a"}, "b": {"S": "a"}}}), "schema"),
        ("getItem", json!({"AttributesToGet": []}), "unknown field"),
        ("scan", json!({}), "unknown field `Key`"),
        ("deleteItem", json!({}), "deleteItem is not known"),
    ];
    for (action, fields, expected) in cases {
        let mut items = items();
        let error = items.call(action, &arguments(&fields)).unwrap_err();
        assert_eq!(error.name, "ValidationException");
        assert!(error.message.contains(expected), "{fields}: {error}");
        assert_eq!(items, self::items(), "{fields}");
    }
    for (value, expected) in [
        (json!({"S": 1}), "not an attribute value"),
        (json!({"N": "x"}), "not an attribute value"),
        (json!({"N": 1}), "not an attribute value"),
        (json!({"M": {"a": {"S": 1}}}), "not an attribute value"),
        (json!({"S": "a", "N": "1"}), "not an attribute value"),
        (json!({"S": "a"}), "unused in expressions: :x"),
    ] {
        let mut arguments = arguments(&json!({"UpdateExpression": "REMOVE fence"}));
        arguments["ExpressionAttributeValues"] = json!({":x": value});
        let error = items().call("updateItem", &arguments).unwrap_err();
        assert!(error.message.contains(expected), "{value}: {error}");
    }
}

#[test]
fn one_item_is_read() {
    let mut items = items();
    let all = items.call("getItem", &arguments(&json!({"ConsistentRead": true}))).unwrap();
    assert_eq!(all, json!({"Item": items.get("shop")}));
    let some = arguments(&json!({"ProjectionExpression": "#owner, #w.since, nothing"}));
    let some = items.call("getItem", &some).unwrap();
    assert_eq!(some, json!({"Item": {"owner": {"S": "me"}, "waiting": {"M": {"since": {"N": "10"}}}}}));
    assert_eq!(items.call("getItem", &arguments(&json!({"Key": {"service": {"S": "x"}}}))).unwrap(), json!({}));
}

#[test]
fn an_index_holds_only_what_has_its_attribute() {
    let mut items = Items::new("service");
    for (service, owner) in [("a", Some("x")), ("b", None), ("c", Some("w")), ("d", Some("v"))] {
        let mut item = json!({"service": {"S": service}});
        if let Some(owner) = owner {
            item["owner"] = json!({ "S": owner });
        }
        items.put(&item).unwrap();
    }
    let mut seen = Vec::new();
    let mut call = json!({"TableName": "t", "IndexName": "owner", "Limit": 1, "ProjectionExpression": "service"});
    loop {
        let mut answer = items.call("scan", &call).unwrap();
        assert_eq!(answer["Count"], answer["Items"].as_array().unwrap().len());
        seen.extend(answer["Items"].as_array().unwrap().iter().map(|item| item["service"]["S"].clone()));
        match answer["LastEvaluatedKey"].take() {
            Value::Null => break,
            key => call["ExclusiveStartKey"] = key,
        }
    }
    assert_eq!(seen, ["a", "c", "d"]);
    assert_eq!(call["ExclusiveStartKey"], json!({"service": {"S": "d"}, "owner": {"S": "v"}}));
    let all = items.call("scan", &json!({"TableName": "t", "ConsistentRead": true})).unwrap();
    assert_eq!((all["Count"].as_u64(), all.get("LastEvaluatedKey")), (Some(4), None));
    for call in [
        json!({"TableName": "t", "IndexName": "owner", "ConsistentRead": true}),
        json!({"TableName": "t", "Limit": 0}),
        json!({"TableName": "t", "IndexName": "owner", "ExclusiveStartKey": {"service": {"S": "a"}}}),
        json!({"TableName": "", "IndexName": "owner"}),
        json!({"TableName": "t", "FilterExpression": "a = b"}),
    ] {
        assert_eq!(items.call("scan", &call).unwrap_err().name, "ValidationException", "{call}");
    }
}
