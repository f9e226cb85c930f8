//! The errors that the APIs name, for the setting in which each comes once.
//!
//! Of Tasks: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html>,
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>,
//! <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>,
//! <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>; of the calls that functions make: the
//! SDK's models. What comes of the state of things, such as a condition that does not hold, comes of that here, too.

/// An error's name, and whether the same may well succeed a moment later.
pub type Named = (&'static str, bool);

/// An answer that is larger than a state may hand on: <https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html>.
pub const TOO_LARGE: &str = "States.DataLimitExceeded";

const LAMBDA: [Named; 35] = [
    ("Lambda.EC2AccessDeniedException", false),
    ("Lambda.EC2ThrottledException", false),
    ("Lambda.EC2UnexpectedException", false),
    ("Lambda.EFSIOException", false),
    ("Lambda.EFSMountConnectivityException", false),
    ("Lambda.EFSMountFailureException", false),
    ("Lambda.EFSMountTimeoutException", false),
    ("Lambda.ENILimitReachedException", false),
    ("Lambda.InvalidParameterValueException", false),
    ("Lambda.InvalidRequestContentException", false),
    ("Lambda.InvalidRuntimeException", false),
    ("Lambda.InvalidSecurityGroupIDException", false),
    ("Lambda.InvalidSubnetIDException", false),
    ("Lambda.InvalidZipFileException", false),
    ("Lambda.KMSAccessDeniedException", false),
    ("Lambda.KMSDisabledException", false),
    ("Lambda.KMSInvalidStateException", false),
    ("Lambda.KMSNotFoundException", false),
    ("Lambda.RecursiveInvocationException", false),
    ("Lambda.RequestTooLargeException", false),
    ("Lambda.ResourceConflictException", false),
    ("Lambda.ResourceNotFoundException", false),
    ("Lambda.ResourceNotReadyException", false),
    ("Lambda.SnapStartException", false),
    ("Lambda.SubnetIPAddressLimitReachedException", false),
    ("Lambda.UnsupportedMediaTypeException", false),
    ("Lambda.AWSLambdaException", true),
    ("Lambda.ClientExecutionTimeoutException", true),
    ("Lambda.SdkClientException", true),
    ("Lambda.ServiceException", true),
    ("Lambda.TooManyRequestsException", true),
    // What a function that ends by itself, or is ended, is told as.
    ("Lambda.Unknown", true),
    ("Runtime.ExitError", true),
    ("Runtime.Unknown", true),
    ("Sandbox.Timedout", true),
];
/// Every one is tried again: none of them has done anything.
const DYNAMODB: [Named; 9] = [
    ("DynamoDB.AmazonDynamoDBException", true),
    ("DynamoDB.InternalServerErrorException", true),
    ("DynamoDB.ItemCollectionSizeLimitExceededException", true),
    ("DynamoDB.ProvisionedThroughputExceededException", true),
    ("DynamoDB.RequestLimitExceededException", true),
    ("DynamoDB.ResourceNotFoundException", true),
    ("DynamoDB.SdkClientException", true),
    ("DynamoDB.ThrottlingException", true),
    ("DynamoDB.TransactionConflictException", true),
];
const DYNAMODB_BY_SDK: [Named; 6] = [
    ("DynamoDb.InternalServerErrorException", true),
    ("DynamoDb.ProvisionedThroughputExceededException", true),
    ("DynamoDb.RequestLimitExceededException", true),
    ("DynamoDb.ResourceNotFoundException", true),
    ("DynamoDb.DynamoDbException", true),
    ("DynamoDb.TransactionConflictException", true),
];
const SSM: [Named; 4] = [
    ("Ssm.InternalServerErrorException", true),
    ("Ssm.InvalidKeyIdException", true),
    ("Ssm.ParameterVersionNotFoundException", true),
    ("Ssm.SsmException", true),
];
const SNS: [Named; 11] = [
    ("SNS.AmazonSNSException", true),
    ("SNS.AuthorizationErrorException", true),
    ("SNS.EndpointDisabledException", true),
    ("SNS.InternalErrorException", true),
    ("SNS.InvalidParameterException", true),
    ("SNS.InvalidParameterValueException", true),
    ("SNS.InvalidSecurityException", true),
    ("SNS.KMSThrottlingException", true),
    ("SNS.NotFoundException", true),
    ("SNS.PlatformApplicationDisabledException", true),
    ("SNS.ThrottledException", true),
];
const START_EXECUTION: [Named; 8] = [
    ("StepFunctions.AWSStepFunctionsException", true),
    ("StepFunctions.ExecutionLimitExceededException", true),
    ("StepFunctions.InvalidArnException", true),
    ("StepFunctions.InvalidExecutionInputException", true),
    ("StepFunctions.InvalidNameException", true),
    ("StepFunctions.KmsAccessDeniedException", true),
    ("StepFunctions.StateMachineDeletingException", true),
    ("StepFunctions.StateMachineDoesNotExistException", true),
];
const STEP_FUNCTIONS_BY_SDK: [Named; 3] =
    [("Sfn.InvalidArnException", true), ("Sfn.KmsThrottlingException", true), ("Sfn.SfnException", true)];
const EVENTS: [Named; 3] = [
    ("EventBridge.AmazonEventBridgeException", true),
    ("EventBridge.FailedEntry", true),
    ("EventBridge.SdkClientException", true),
];

/// The errors of a Task's resource.
#[must_use]
pub fn of_task(resource: &str) -> &'static [Named] {
    let is = |part: &str| resource.contains(part);
    if is("lambda:invoke") {
        &LAMBDA
    } else if is("aws-sdk:dynamodb") {
        &DYNAMODB_BY_SDK
    } else if is(":dynamodb:") {
        &DYNAMODB
    } else if is("aws-sdk:ssm") {
        &SSM
    } else if is("sns:publish") {
        &SNS
    } else if is("events:putEvents") {
        &EVENTS
    } else if is("states:startExecution") {
        &START_EXECUTION
    } else {
        &STEP_FUNCTIONS_BY_SDK
    }
}

/// The errors of a function's call: those of its operation, and those of all.
pub fn of_call(operation: &str) -> impl Iterator<Item = Named> {
    const ALL: [Named; 5] = [
        ("AccessDenied", false),
        ("InternalFailure", true),
        ("ServiceUnavailable", true),
        ("ThrottlingException", true),
        ("ValidationError", false),
    ];
    let own: &[Named] = match operation {
        "DescribeRules" => &[("ListenerNotFound", false), ("UnsupportedProtocol", false)],
        "ModifyRule" => &[
            ("IncompatibleProtocols", false),
            ("InvalidLoadBalancerAction", false),
            ("OperationNotPermitted", false),
            ("PriorRequestNotComplete", true),
            ("TargetGroupAssociationLimit", false),
            ("TargetGroupNotFound", false),
            ("TooManyActions", false),
            ("TooManyRegistrationsForTargetId", false),
            ("TooManyTargets", false),
            ("TooManyUniqueTargetGroupsPerLoadBalancer", false),
            ("UnsupportedProtocol", false),
        ],
        "DescribeTargetHealth" => {
            &[("HealthUnavailable", true), ("InvalidTarget", false), ("TargetGroupNotFound", false)]
        }
        "DescribeLoadBalancers" => &[("LoadBalancerNotFound", false)],
        "GetMetricData" | "DescribeAlarms" => &[("InvalidNextToken", false)],
        "ListMetrics" => &[("InternalServiceError", true), ("InvalidParameterValue", false)],
        "DescribeServices" => &[
            ("ClientException", false),
            ("ClusterNotFoundException", false),
            ("InvalidParameterException", false),
            ("ServerException", true),
        ],
        "UpdateService" => &[
            ("ClientException", false),
            ("ClusterNotFoundException", false),
            ("InvalidParameterException", false),
            ("NamespaceNotFoundException", false),
            ("PlatformTaskDefinitionIncompatibilityException", false),
            ("PlatformUnknownException", false),
            ("ServerException", true),
            ("ServiceNotActiveException", false),
            ("ServiceNotFoundException", false),
            ("UnsupportedFeatureException", false),
        ],
        "DescribeTaskDefinition" => {
            &[("ClientException", false), ("InvalidParameterException", false), ("ServerException", true)]
        }
        "RegisterTaskDefinition" => &[
            ("ClientException", false),
            ("InvalidParameterException", false),
            ("LimitExceededException", false),
            ("ServerException", true),
        ],
        "GetItem" => &[
            ("InternalServerError", true),
            ("ProvisionedThroughputExceededException", true),
            ("RequestLimitExceeded", true),
            ("ResourceNotFoundException", false),
        ],
        _ => &[],
    };
    own.iter().copied().chain(ALL)
}
